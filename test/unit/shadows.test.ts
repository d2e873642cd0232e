// Tests when copies of requests are sent to a shadow.

import { expect, test } from 'vitest';
import type { DispatchedItem, Dispatcher } from '../../api/queue/dispatcher.js';
import { Shadows } from '../../api/versions/shadows.js';
import { ScorelineError } from '../../shared/errors.js';
import { makeItemId } from '../../shared/wire/item-id.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import { makeSampleModel } from './sample-model.js';

const model = makeSampleModel({ version: '1' });
const shadow = makeSampleModel({ version: '2' });
const wish = { top: 1 };

test('a shadow that ends its worker gets no copies for a while, and those on their way are taken back', async () => {
  const failures: ((error: ScorelineError) => void)[] = [];
  const submit = (({ items, ending }) =>
    items.map(() =>
      ending.orEnd(new Promise<ScoredReply>((_resolve, reject) => failures.push(reject))),
    )) as Dispatcher['submit'];
  const shadows = new Shadows({
    registry: {
      shadows: new Map([[model.name, { model: shadow, of: new Set([model.queue]), percent: 100 }]]),
    },
    dispatcher: { submit },
  });
  const ask = () => {
    const item: DispatchedItem = { id: makeItemId(crypto.randomUUID(), 1), inputs: [] };
    shadows.copy({ model }, [item], wish, [Promise.resolve({ outputs: [] } as never)]);
  };
  for (let copy = 0; copy < 3; copy++) ask();
  failures[0]?.(new ScorelineError('model_failed', 'It failed on this input.'));
  await expect.poll(() => shadows.countsOf(shadow).failed).toBe(1);
  ask();
  expect(failures).toHaveLength(4);
  failures[1]?.(new ScorelineError('model_crashed', 'It ended its worker.'));
  await expect.poll(() => shadows.countsOf(shadow)).toMatchObject({ failed: 2, left_out: 2 });
  ask();
  expect(failures).toHaveLength(4);
  expect(shadows.countsOf(shadow)).toMatchObject({ failed: 2, left_out: 3 });
});
