// The state of an API instance, read with each scrape.

import type { Instruments, Labels } from '../../shared/metrics/instruments.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';
import { priorities } from '../../shared/wire/priority.js';
import type { Admission } from '../admission/admission.js';
import type { ByteBudget } from '../admission/byte-budget.js';
import type { RedisMemory } from '../admission/redis-memory.js';
import type { Calls } from '../call/calls.js';
import type { EventStreams } from '../http/answers/event-streams.js';
import type { UntakenAnswers } from '../http/connection/untaken-answers.js';
import type { Queue } from '../queue/queue.js';
import type { Load } from '../turns.js';

export function observeState(
  instruments: Instruments,
  parts: {
    registry: Registry;
    permitsMax: number;
    calls: Pick<Calls, 'size' | 'oldestMs'>;
    admission: Pick<Admission, 'traffic' | 'drainMs'>;
    bodies: Pick<ByteBudget, 'taken'>;
    eventStreams: Pick<EventStreams, 'size'>;
    untaken: Pick<UntakenAnswers, 'bytes'>;
    queue: Pick<Queue, 'unansweredIn' | 'countWorkers'>;
    decoding: () => Load;
    redisMemory: Pick<RedisMemory, 'usedBytes' | 'maxBytes'>;
  },
): void {
  const { registry, permitsMax, calls, admission, bodies, eventStreams } = parts;
  const { untaken, queue, decoding, redisMemory } = parts;
  const each = (read: (model: Model) => number | undefined) => seriesOf(registry.models, read);

  instruments.readOne('requestsInFlight', () => calls.size);
  instruments.readOne('permitsMax', () => permitsMax);
  instruments.readOne('bodyBytes', () => bodies.taken);
  instruments.readOne('answerBytes', () => untaken.bytes);
  instruments.readOne('eventStreams', () => eventStreams.size);
  instruments.read('inputsInFlight', () =>
    each(({ queue: name }) =>
      priorities.reduce((sum, priority) => sum + admission.traffic(name, priority).inFlight, 0),
    ),
  );
  instruments.read('oldestSeconds', () => each((model) => calls.oldestMs(model) / 1000));
  instruments.read('deadlineSeconds', () => each(({ manifest }) => manifest.deadlineMs / 1000));
  instruments.read('unanswered', () => each((model) => queue.unansweredIn(model.queue)));
  instruments.read('drainSeconds', () =>
    each((model) => {
      const ms = admission.drainMs(model.queue);
      return ms === undefined ? undefined : ms / 1000;
    }),
  );
  instruments.read('workers', async () => {
    const { models } = registry;
    const counts = await queue.countWorkers(models.map((model) => model.queue)).catch(() => []);
    return seriesOf(models, (model) => counts[models.indexOf(model)]);
  });
  instruments.read('decoding', () => {
    const { running, waiting } = decoding();
    return [
      [{ state: 'running' }, running],
      [{ state: 'waiting' }, waiting],
    ];
  });
  instruments.readOne('decodingMax', () => decoding().max);
  instruments.read('redisMemoryBytes', () => ifKnown(redisMemory.usedBytes));
  instruments.read('redisMemoryMaxBytes', () => ifKnown(redisMemory.maxBytes));
}

/** Returns a series of a size, which is 0 if Redis does not tell it. */
function ifKnown(bytes: number): readonly (readonly [Labels<'redisMemoryBytes'>, number])[] {
  return bytes > 0 ? [[{}, bytes]] : [];
}

/** Returns a series for each model whose value is known. */
function* seriesOf(
  models: readonly Model[],
  read: (model: Model) => number | undefined,
): Generator<readonly [Labels<'unanswered'>, number]> {
  for (const model of models) {
    const value = read(model);
    if (value !== undefined) yield [{ model: model.name, version: model.version }, value];
  }
}
