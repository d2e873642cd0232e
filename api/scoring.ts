// Scores a call: prepares its inputs, sends them to the model's queue, and waits for the replies. A call
// with an `Idempotency-Key` takes these steps inside api/repeat/repeatable.ts, and one that is answered later
// inside api/jobs/deferring.ts.

import { type Tensor, toBuffer } from '../shared/tensors/tensors.js';
import type { OutputWish } from '../shared/wire/job.js';
import type { ScoredReply, Timing } from '../shared/wire/reply.js';
import { shareOf } from './access/caller.js';
import type { ResponseCache } from './cache/response-cache.js';
import type { Call } from './call/call.js';
import { type Deferral, Deferred } from './call/deferral.js';
import { listAhead } from './inference/json-tensor.js';
import type { Deferring } from './jobs/deferring.js';
import { hasTensors } from './kinds/answers.js';
import type { Prepared, RawInput, Row } from './kinds/kind.js';
import { type InputKinds, kindsOf } from './kinds/kinds.js';
import type { DispatchedItem, Dispatcher } from './queue/dispatcher.js';
import { type Identity, identify } from './repeat/identity.js';
import type { Repeatable } from './repeat/repeatable.js';
import { type Statistics, totalMs } from './statistics.js';
import type { Shadows } from './versions/shadows.js';

type MaybePromise<T> = T | Promise<T>;

export interface Scoring {
  /**
   * Scores the inputs of a call, then ends the call. Empties the array once preparation has begun, so
   * the raw inputs can be collected.
   * @param wish how many of the best classes to answer with, or which outputs
   * @throws ScorelineError of an invalid input, of a worker's reply, or the reason of the call's ending;
   * Deferred if the answer comes later
   */
  score(call: Call, inputs: RawInput[], wish: OutputWish): Promise<readonly ScoredReply[]>;
  /**
   * Scores items that are tensors already, then ends the call. Empties the array once they are on their way.
   * @param outputs the names of the outputs to answer with; all if undefined
   * @throws ScorelineError of a worker's reply, or the reason of the call's ending
   */
  scoreTensors(
    call: Call,
    items: (readonly Tensor[])[],
    outputs: readonly string[] | undefined,
  ): Promise<readonly ScoredReply[]>;
}

/** What a call has scored, before its inputs are prepared. */
interface Work {
  readonly prepare: (call: Call) => MaybePromise<Prepared>;
  /** Lets go of inputs that are not prepared. */
  readonly drop: () => void;
  readonly wish: OutputWish;
  /** What the answer to each item depends on, besides the wish. */
  readonly contents: () => Parameters<typeof identify>[1]['inputs'];
}

export function makeScoring(options: {
  kinds: InputKinds;
  dispatcher: Pick<Dispatcher, 'submit'>;
  repeatable: Repeatable;
  deferring: Deferring;
  cache: ResponseCache;
  statistics: Pick<Statistics, 'succeed' | 'fail'>;
  shadows?: Pick<Shadows, 'copy'> | undefined;
}): Scoring {
  const { kinds, dispatcher, repeatable, deferring, cache, statistics, shadows } = options;

  const prepareRaw = (call: Call, inputs: RawInput[]): MaybePromise<Prepared> => {
    const { model } = call;
    call.enter('preparing');
    const { input: kind } = kindsOf(kinds, model);
    const prepared = inputs.map((input) => kind.prepare(input, model, call.ending));
    inputs.length = 0;
    if (prepared.every(isThere)) {
      call.dropBody();
      return prepared;
    }
    const stages = prepared.map((stage) => call.run(async () => stage));
    return call.ending.orEnd(Promise.all(stages)).finally(() => call.dropBody());
  };

  const submit = (
    call: Call,
    items: readonly DispatchedItem[],
    { wish, keepMs }: { wish: OutputWish; keepMs?: number },
  ) => {
    const { model, priority, deadlineAt, ending, trace } = call;
    call.enter('scoring');
    const { top, outputs } = wish;
    const keepFor = keepMs === undefined ? undefined : shareOf(call.caller.id);
    // Without a spread: it took 4 µs.
    return dispatcher.submit({
      model,
      priority,
      top,
      outputs,
      deadlineAt,
      ending,
      items,
      keepMs,
      keepFor,
      trace,
    });
  };

  const scoreNow = async (call: Call, { prepare, wish }: Work): Promise<readonly ScoredReply[]> => {
    const making = prepare(call);
    const prepared = making instanceof Promise ? await making : making;
    const items = prepared.map((inputs, index) => ({
      id: call.itemId(index, rowsIn(call, inputs)),
      inputs,
    }));
    const replies = submit(call, items, { wish });
    shadows?.copy(call, items, wish, replies);
    return Promise.all(replies);
  };

  const placeOf = (call: Call, { wish, contents }: Work) =>
    call.model.manifest.cache && cache.placeOf(call, { ...wish, inputs: contents() });

  const scoreAlone = async (call: Call, work: Work): Promise<readonly ScoredReply[]> => {
    const place = placeOf(call, work);
    const replies = place
      ? await cache.serve(call, place, () => scoreNow(call, work))
      : await scoreNow(call, work);
    call.end(call.cacheNote?.outcome === 'hit' ? 'cached' : 'scored');
    return replies;
  };

  const scoreRepeatable = (
    call: Call,
    key: string,
    work: Work,
  ): Promise<readonly ScoredReply[]> => {
    const { prepare, wish } = work;
    // A repeat waits for the flight of another call, which knows its own phase.
    call.enter('scoring');
    const identity = identifyCall(call, key, work);
    const place = placeOf(call, work);
    return repeatable.score(call, identity, {
      recall: place && ((flight) => cache.recall(flight, place)),
      keep: place && ((flight, replies) => cache.keep(flight, place, replies)),
      prepare: async (flight) => prepare(flight),
      submit: (flight, items, keepMs) => submit(flight, items, { wish, keepMs }),
    });
  };

  const scoreDeferred = async (
    call: Call,
    deferral: Deferral,
    { prepare, drop, wish, contents }: Work,
  ): Promise<readonly ScoredReply[]> => {
    call.enter('scoring');
    const identity = identifyCall(call, call.key ?? call.id, { wish, contents });
    return deferring.score(call, {
      ...{ deferral, identity, wish, drop },
      prepare: async () => prepare(call),
    });
  };

  const scoreWork = async (call: Call, work: Work): Promise<readonly ScoredReply[]> => {
    try {
      const replies = await (call.deferral
        ? scoreDeferred(call, call.deferral, work)
        : call.key === undefined
          ? scoreAlone(call, work)
          : scoreRepeatable(call, call.key, work));
      call.timing = slowest(replies);
      statistics.succeed(call, replies);
      return replies;
    } catch (error) {
      if (!(error instanceof Deferred)) statistics.fail(call);
      throw error;
    } finally {
      // If one of several inputs has failed, this ends the wait for the others.
      call.end('abandoned');
    }
  };

  return {
    async score(call, inputs, wish) {
      const score = () =>
        scoreWork(call, {
          prepare: (worker) => prepareRaw(worker, inputs),
          drop: () => inputs.splice(0),
          wish,
          contents: () => inputs.map(({ value }) => ({ value: contentOf(value) })),
        });
      if (!hasTensors(call.model)) return score();
      return call.run(async () => {
        const replies = await score();
        const tensors = replies.flatMap(({ outputs }) => outputs);
        await listAhead(call, tensors);
        return replies;
      });
    },
    // The tensors may be parts of the body, so it counts as being in memory until the call has ended.
    scoreTensors: (call, items, outputs) =>
      scoreWork(call, {
        prepare: () => items.splice(0),
        drop: () => items.splice(0),
        wish: { outputs },
        contents: () =>
          items.map((tensors) => ({ value: contentsOf(tensors), rows: rowsIn(call, tensors) })),
      }),
  };
}

/** Returns the timing of the input that took longest. */
function slowest(replies: readonly ScoredReply[]): Timing | undefined {
  let found: Timing | undefined;
  for (const { timing } of replies) if (!found || totalMs(timing) > totalMs(found)) found = timing;
  return found;
}

/** The order of a row's columns does not matter to its answer. */
function contentOf(value: string | Buffer | Row): string | Buffer {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value;
  const cells = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return cells.map(([name, cell]) => `${JSON.stringify(name)}:${contentOfCell(cell)}`).join();
}

function contentOfCell(cell: unknown): string {
  // JSON would write null for infinities, and 0 for -0.
  if (typeof cell === 'number') return Object.is(cell, -0) ? '-0' : String(cell);
  // A row with a list or an object is refused, whatever that holds, and JSON fails if it is deep.
  return typeof cell === 'object' && cell !== null ? '{}' : JSON.stringify(cell);
}

function identifyCall(
  { caller, model, deferral }: Call,
  key: string,
  { wish, contents }: Pick<Work, 'wish' | 'contents'>,
): Identity {
  return identify(key, {
    ...{ caller: caller.id, queue: model.queue, inputs: contents(), webhook: deferral?.webhook },
    ...wish,
  });
}

function contentsOf(tensors: readonly Tensor[]): (string | Buffer)[] {
  return tensors
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ data, ...head }) => [JSON.stringify(head), toBuffer(data)]);
}

function isThere<T>(value: MaybePromise<T>): value is T {
  return !(value instanceof Promise);
}

function rowsIn({ model }: Call, [tensor]: readonly Tensor[]): number {
  return model.manifest.batch.dimension === 'none' ? 1 : (tensor?.shape[0] ?? 1);
}
