import { expect, test } from 'vitest';
import type { Model } from '../../shared/models.js';
import { makeRegistry } from '../../shared/registry.js';
import type { Place } from '../../worker/place.js';
import { followRegistry } from '../../worker/start.js';
import { makeSampleModel } from './sample-model.js';

test('the worker opens a place for each model of the registry, and closes it when the model is removed', async () => {
  const events: string[] = [];
  const finish: (() => void)[] = [];
  const open = (model: Model): Place => {
    events.push(`open ${model.name}`);
    return {
      model,
      warm: Promise.resolve(),
      open: Promise.resolve(),
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
  const registry = makeRegistry([a, b]);
  const places = followRegistry(registry, 500, open);
  expect(events).toEqual(['open a', 'open b']);
  registry.replace([b, c]);
  expect(events.slice(2)).toEqual(['close a within 500', 'open c']);
  expect(places.all().map(({ model }) => model.name)).toEqual(['b', 'c']);

  const closed = places.close();
  expect(events.slice(4)).toEqual(['close b within 500', 'close c within 500']);
  registry.replace([a]);
  for (const done of finish) done();
  await closed;
  // Closing also waits for a place that was closing already, and opens no new one.
  expect(events.slice(6).toSorted()).toEqual(['closed a', 'closed b', 'closed c']);
});
