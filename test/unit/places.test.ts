import { expect, test } from 'vitest';
import type { Model } from '../../shared/registry/models.js';
import type { Place } from '../../worker/place.js';
import { Places } from '../../worker/places.js';
import { makeSampleModel } from './sample-model.js';

test('a worker has a place for each model, and closing all of them waits for those that close already', async () => {
  const events: string[] = [];
  const finish: (() => void)[] = [];
  const open = (model: Model): Place => {
    events.push(`open ${model.name}`);
    return {
      model,
      warm: Promise.resolve(),
      open: Promise.resolve(),
      isListed: () => true,
      withdraw: async () => {},
      resume: () => {},
      device: () => undefined,
      loadMs: () => undefined,
      heldMs: () => 0,
      heldMsMax: () => 0,
      close: async (graceMs) => {
        events.push(`close ${model.name} within ${graceMs}`);
        await new Promise<void>((resolve) => finish.push(resolve));
        events.push(`closed ${model.name}`);
      },
    };
  };
  const [a, b, c] = ['a', 'b', 'c'].map((name) => makeSampleModel({ name })) as [
    Model,
    Model,
    Model,
  ];
  const places = new Places({ open, graceMs: 500 });
  for (const model of [a, b, c]) places.open(model);
  expect(events).toEqual(['open a', 'open b', 'open c']);
  void places.close(places.get(a.queue) as Place);
  expect(events.slice(3)).toEqual(['close a within 500']);
  expect(places.all.map(({ model }) => model.name)).toEqual(['b', 'c']);

  const closed = places.closeAll();
  expect(events.slice(4)).toEqual(['close b within 500', 'close c within 500']);
  expect(places.open(a)).toBeUndefined();
  for (const done of finish) done();
  await closed;
  expect(events.slice(6).toSorted()).toEqual(['closed a', 'closed b', 'closed c']);
});
