// The way of a call through the API: prepare the inputs, send them to the model's queue, wait for
// the replies. A call that may be repeated takes the same way inside api/repeat/repeatable.ts.

import type { Call } from './call.js';
import type { RawInput } from './kinds/kind.js';
import type { InputKinds } from './kinds/kinds.js';
import type { DispatchedItem, Dispatcher } from './queue/dispatcher.js';
import type { ScoredReply } from './queue/waiters.js';
import { identify } from './repeat/identity.js';
import type { Repeatable } from './repeat/repeatable.js';

export interface Scored {
  /** One for each input, in order. */
  readonly replies: readonly ScoredReply[];
  /** The replies were kept from an earlier request with the same key. */
  readonly isReplayed: boolean;
}

export interface Scoring {
  /**
   * Scores the inputs of a call, and ends the call. The array is emptied as soon as the inputs are
   * prepared, so their memory can be used again.
   * @param top how many of the best classes are wanted
   * @throws ScorelineError what is wrong with an input, what a worker answered, or the reason of the
   * call's signal
   */
  score(call: Call, inputs: RawInput[], top: number): Promise<Scored>;
}

export function makeScoring(options: {
  kinds: InputKinds;
  dispatcher: Dispatcher;
  repeatable: Repeatable;
}): Scoring {
  const { kinds, dispatcher, repeatable } = options;

  /** Validates the inputs of a call and makes tensors of them. */
  const prepare = async (call: Call, inputs: RawInput[]) => {
    const { model, signal } = call;
    const kind = kinds[model.manifest.input.kind];
    try {
      const stages = inputs.map((input) => call.run(() => kind.prepare(input, model, signal)));
      return await call.orAborted(Promise.all(stages));
    } finally {
      inputs.length = 0;
      call.dropBody();
    }
  };

  const submit = (
    { model, deadlineAt, signal }: Call,
    items: readonly DispatchedItem[],
    options: { top: number; keepMs?: number },
  ) => dispatcher.submit({ model, deadlineAt, signal, items, ...options });

  const scoreAlone = async (call: Call, inputs: RawInput[], top: number): Promise<Scored> => {
    const prepared = await prepare(call, inputs);
    const items = prepared.map((inputs, index) => ({ id: itemIdOf(call, index), inputs }));
    const replies = await Promise.all(submit(call, items, { top }));
    call.end(true);
    return { replies, isReplayed: false };
  };

  const scoreRepeatable = (
    call: Call,
    key: string,
    { inputs, top }: { inputs: RawInput[]; top: number },
  ): Promise<Scored> => {
    const identity = identify(key, { queue: call.model.queue, top, inputs });
    return repeatable.score(call, identity, {
      prepare: (flight) => prepare(flight, inputs),
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
        // When one input of several has failed, nobody waits for the others.
        call.end(false);
      }
    },
  };
}

/** The id of one of a call's items; the first has the call's own. */
function itemIdOf({ id }: Call, index: number): string {
  return index === 0 ? id : `${id}.${index}`;
}
