// Scores a call: prepares its inputs, sends them to the model's queue, and waits for the replies. A call
// with an `Idempotency-Key` takes these steps inside api/repeat/repeatable.ts.

import type { Tensor } from '../shared/tensors.js';
import type { Call } from './call.js';
import type { RawInput } from './kinds/kind.js';
import { type InputKinds, kindsOf } from './kinds/kinds.js';
import type { DispatchedItem, Dispatcher } from './queue/dispatcher.js';
import type { ScoredReply } from './queue/waiters.js';
import { identify } from './repeat/identity.js';
import type { Repeatable } from './repeat/repeatable.js';

type MaybePromise<T> = T | Promise<T>;
/** The tensors of each input. */
type Prepared = readonly (readonly Tensor[])[];

export interface Scoring {
  /**
   * Scores the inputs of a call, then ends the call. Empties the array once preparation has begun, so
   * the raw inputs can be collected.
   * @param top how many of the best classes to answer with
   * @throws ScorelineError of an invalid input, of a worker's reply, or the reason of the call's ending
   */
  score(call: Call, inputs: RawInput[], top: number): Promise<readonly ScoredReply[]>;
}

export function makeScoring(options: {
  kinds: InputKinds;
  dispatcher: Pick<Dispatcher, 'submit'>;
  repeatable: Repeatable;
}): Scoring {
  const { kinds, dispatcher, repeatable } = options;

  const prepare = (call: Call, inputs: RawInput[]): MaybePromise<Prepared> => {
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
    { top, keepMs }: { top: number; keepMs?: number },
  ) => {
    const { model, deadlineAt, ending } = call;
    call.enter('scoring');
    return dispatcher.submit({ model, deadlineAt, ending, items, top, keepMs });
  };

  const scoreAlone = async (
    call: Call,
    inputs: RawInput[],
    top: number,
  ): Promise<readonly ScoredReply[]> => {
    const making = prepare(call, inputs);
    const prepared = making instanceof Promise ? await making : making;
    const items = prepared.map((inputs, index) => ({ id: itemIdOf(call, index), inputs }));
    const replies = await Promise.all(submit(call, items, { top }));
    call.end(true);
    return replies;
  };

  const scoreRepeatable = (
    call: Call,
    key: string,
    { inputs, top }: { inputs: RawInput[]; top: number },
  ): Promise<readonly ScoredReply[]> => {
    // A repeat waits for the flight of another call, which knows its own phase.
    call.enter('scoring');
    const identity = identify(key, {
      caller: call.caller.id,
      queue: call.model.queue,
      top,
      inputs,
    });
    return repeatable.score(call, identity, {
      prepare: async (flight) => prepare(flight, inputs),
      submit: (flight, items, keepMs) => submit(flight, items, { top, keepMs }),
    });
  };

  return {
    async score(call, inputs, top) {
      try {
        return await (call.key === undefined
          ? scoreAlone(call, inputs, top)
          : scoreRepeatable(call, call.key, { inputs, top }));
      } finally {
        // If one of several inputs has failed, this ends the wait for the others.
        call.end(false);
      }
    },
  };
}

function isThere<T>(value: MaybePromise<T>): value is T {
  return !(value instanceof Promise);
}

/** The first item has the id of the call. */
function itemIdOf({ id }: Call, index: number): string {
  return index === 0 ? id : `${id}.${index}`;
}
