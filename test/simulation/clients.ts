// The clients of a simulation. They check that each request ends once, with its own answer or with an
// error that has a reason.

import { anyone } from '../../api/access/caller.js';
import { type Call, clientClosed } from '../../api/call/call.js';
import type { RawInput } from '../../api/kinds/kind.js';
import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { mapScores } from '../../shared/tensors/scores.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import type { Api } from './api.js';
import { type Input, isFatal, type Nature } from './inputs.js';
import { type Ask, longMs } from './scenario.js';
import type { World } from './world.js';

/** An item that is alone in quarantine at this many deaths is blamed for them. */
const strikesMax = 3;

interface Request {
  readonly ask: Ask;
  readonly api: Api;
  readonly inputs: readonly Input[];
  readonly deadlineAt: number;
  /** Whether the API was shutting down when the request was sent. */
  readonly isLate: boolean;
  readonly refusedAddsBefore: number;
  /** How many inputs the API counts for the request: 1 until it knows their number. */
  counted: number;
  /** How many inputs are being prepared. The permit is kept until they are done. */
  preparing: number;
  hasHungUp: boolean;
  /** Whether admission had to refuse it at some time. */
  isTooMuch: boolean;
}

export function makeClients(
  world: Pick<World, 'must' | 'network' | 'redis' | 'models' | 'limits'>,
) {
  const { must, network, redis, models, limits } = world;
  const inputs: Input[] = [];
  const requests: Request[] = [];
  const open = new Set<Request>();

  const makeInput = (
    nature: Nature,
    { size, deadlineAt }: { size: number; deadlineAt: number },
  ) => {
    const input: Input = {
      ...{ number: inputs.length, size, nature, deadlineAt, id: undefined },
      submittedAt: Number.POSITIVE_INFINITY,
      ...{ settled: 0, deaths: 0, deathsMax: 0, strikes: 0, isTooSlow: false },
      ...{ isGarbled: false, abandonedAt: new Set<string>() },
    };
    inputs.push(input);
    return input;
  };

  /** Whether admission must refuse a request for `count` inputs that already holds `counted` permits. */
  const isTooMuchNow = ({ ask, api, counted }: Request, count: number): boolean => {
    const { queue } = models[ask.model] as Model;
    const free = limits.permitsMax - (api.permits - counted);
    const ofModel = api.permitsOf(queue) - counted;
    const unanswered = redis.isUp ? redis.countUnanswered(queue) : 0;
    const isFull = Math.max(unanswered, ofModel) >= limits.itemsMax;
    return count > free || ofModel + count > free || isFull;
  };

  const end = (request: Request) => {
    must(open.delete(request), 'a request ends twice');
    redis.notify();
  };

  const checkAnswer = ({ inputs, isTooMuch }: Request, replies: readonly ScoredReply[]) => {
    must(replies.length === inputs.length, 'a request has a wrong number of replies');
    for (const [at, input] of inputs.entries()) {
      must(replies[at]?.id === input.id, 'an item has the reply to another item');
      const [scored] = mapScores((replies[at] as ScoredReply).outputs, (number) => number);
      must(scored === input.number, 'an item has the scores of another item');
      must(input.nature === 'good', 'an item is answered that must fail');
    }
    must(!isTooMuch, 'a request is admitted beyond the limits');
  };

  const mayFail = (request: Request, { code, message }: ScorelineError): boolean => {
    const { ask, inputs, deadlineAt } = request;
    const some = (predicate: (input: Input) => boolean) => inputs.some(predicate);
    const mayBeLate = ask.deadlineMs < longMs || some((input) => input.isGarbled);
    const isOver = nowMs() >= deadlineAt && mayBeLate;
    switch (code) {
      case 'client_closed':
        return request.hasHungUp;
      case 'input_invalid':
        return some(({ nature }) => nature === 'unreadable');
      case 'model_failed':
        return some(({ nature }) => nature === 'throws');
      case 'model_crashed':
        return some((input) => isFatal(input) || input.isTooSlow || input.strikes > strikesMax);
      case 'wire_mismatch':
        return some((input) => input.isGarbled);
      case 'deadline_exceeded':
        return isOver;
      case 'queue_unavailable':
        // If a job cannot be added, the items that wait behind it are refused, too.
        return isOver || request.api.refusedAdds > request.refusedAddsBefore;
      case 'queue_lost':
        return redis.losses > 0;
      case 'shutting_down':
        return request.isLate;
      case 'overloaded':
        return request.isTooMuch || message.includes('ms long');
      default:
        return false;
    }
  };

  /** Opens a call and scores it, as the HTTP edge does. */
  const score = async (request: Request): Promise<readonly ScoredReply[]> => {
    const { ask, api, inputs, deadlineAt } = request;
    const model = models[ask.model] as Model;
    request.isTooMuch ||= isTooMuchNow(request, 1);
    const call = api.calls.open({
      caller: anyone,
      models: [model],
      arrivedAt: nowMs(),
      deadlineAt,
    });
    request.counted = 1;
    if (ask.hangsUp) {
      void network.step('a client hangs up').then(() => {
        request.hasHungUp = true;
        call.abort(clientClosed());
      });
    }
    try {
      await call.ending.orEnd(network.stepOf(api.process, 'a body arrives'));
      request.isTooMuch ||= inputs.length > 1 && isTooMuchNow(request, inputs.length);
      call.assign(model, inputs.length);
      request.counted = inputs.length;
      const raw = inputs.map(({ number }) => ({ value: number }) as unknown as RawInput);
      return await api.score(call, raw, { top: 1 });
    } finally {
      call.end('abandoned');
      checkLeftBehind(call);
    }
  };

  const checkLeftBehind = ({ ending }: Call) => {
    must(ending.listeners === 0, 'a listener is left behind');
  };

  return {
    inputs,
    open: open as ReadonlySet<Request>,
    /** How many inputs the API must count: those of open requests, and those still being prepared. */
    itemsAt: (api: Api) =>
      requests.reduce((sum, request) => {
        const isCounted = request.api === api && (open.has(request) || request.preparing > 0);
        return sum + (isCounted ? request.counted : 0);
      }, 0),
    onPrepare(number: number, change: 1 | -1) {
      const input = inputs[number] as Input;
      const request = requests.find((candidate) => candidate.inputs.includes(input)) as Request;
      request.preparing += change;
    },

    async ask(ask: Ask, api: Api): Promise<'answered' | 'unanswered'> {
      const deadlineAt = nowMs() + ask.deadlineMs;
      const { size } = ask;
      const request: Request = {
        ...{ ask, api, deadlineAt },
        inputs: ask.natures.map((nature) => makeInput(nature, { size, deadlineAt })),
        isLate: api.calls.isShuttingDown,
        refusedAddsBefore: api.refusedAdds,
        ...{ counted: 0, preparing: 0, hasHungUp: false, isTooMuch: false },
      };
      open.add(request);
      requests.push(request);
      let failure: ScorelineError | undefined;
      let replies: readonly ScoredReply[] = [];
      try {
        replies = await score(request);
      } catch (error) {
        failure = error as ScorelineError;
      }
      // An instance that has died meanwhile answers nobody.
      if (!api.process.isAlive) return 'unanswered';
      end(request);
      for (const { id } of request.inputs) {
        must(id === undefined || !api.isExpected(id), 'a waiter is left behind');
      }
      if (failure) must(mayFail(request, failure), `without a reason: ${failure.code ?? failure}`);
      else checkAnswer(request, replies);
      return failure ? 'unanswered' : 'answered';
    },

    /** Ends the requests to an instance that has ended. */
    disconnect(api: Api) {
      for (const request of open) if (request.api === api) end(request);
    },

    /** Checks that no request outlives its deadline. */
    checkDeadlines() {
      for (const { deadlineAt } of open) {
        must(nowMs() < deadlineAt + 2, 'a request outlives its deadline');
      }
    },
  };
}
