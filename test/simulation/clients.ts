// The clients of a simulation: each request ends once, with its own answer or with an error for
// which there was a reason.

import { EventEmitter } from 'node:events';
import type { Response } from 'express';
import type { RawInput } from '../../api/kinds/kind.js';
import type { ScoredReply } from '../../api/queue/waiters.js';
import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/models.js';
import { mapScores } from '../../shared/scores.js';
import type { Api } from './api.js';
import { type Input, isFatal, type Nature } from './inputs.js';
import { type Ask, longMs } from './scenario.js';
import type { World } from './world.js';

/** An item that was alone in quarantine this often when its worker died is blamed for it. */
const strikesMax = 3;

interface Request {
  readonly ask: Ask;
  readonly api: Api;
  readonly inputs: readonly Input[];
  readonly response: EventEmitter & { destroyed: boolean };
  readonly deadlineAt: number;
  /** The API was leaving when it was asked. */
  readonly isLate: boolean;
  readonly refusedAddsBefore: number;
  /** There was no permit, or no room in the queue. */
  readonly isTooMuch: boolean;
}

export function makeClients(
  world: Pick<World, 'must' | 'network' | 'redis' | 'models' | 'limits'>,
) {
  const { must, network, redis, models, limits } = world;
  const inputs: Input[] = [];
  const open = new Set<Request>();

  const makeInput = (nature: Nature, deadlineAt: number): Input => {
    const input: Input = {
      ...{
        number: inputs.length,
        nature,
        deadlineAt,
        id: undefined,
        isText: false,
        isAddRefused: false,
      },
      submittedAt: Number.POSITIVE_INFINITY,
      ...{
        settled: 0,
        deaths: 0,
        deathsMax: 0,
        strikes: 0,
        isTooSlow: false,
        abandonedAt: new Set(),
      },
    };
    inputs.push(input);
    return input;
  };

  const end = (request: Request) => {
    must(open.delete(request), 'a request ends twice');
    redis.notify();
  };

  const checkAnswer = ({ inputs, isTooMuch }: Request, replies: readonly ScoredReply[]) => {
    must(replies.length === inputs.length, 'a request has a wrong number of replies');
    for (const [at, input] of inputs.entries()) {
      must(replies[at]?.id === input.id, 'an item has the reply to another');
      const [scored] = mapScores(replies[at]?.scores ?? new Uint8Array(), (number) => number);
      must(scored === input.number, 'an item has the scores of another');
      must(input.nature === 'good', 'an item is answered that cannot be');
    }
    must(!isTooMuch, 'a request is let in beyond the limits');
  };

  const mayFail = (request: Request, { code, message }: ScorelineError): boolean => {
    const { ask, inputs, response, deadlineAt } = request;
    const some = (predicate: (input: Input) => boolean) => inputs.some(predicate);
    const isOver = nowMs() >= deadlineAt && ask.deadlineMs < longMs;
    switch (code) {
      case 'client_closed':
        return response.destroyed;
      case 'input_invalid':
        return some(({ nature }) => nature === 'unreadable');
      case 'model_failed':
        return some(({ nature }) => nature === 'throws');
      case 'model_crashed':
        return some((input) => isFatal(input) || input.isTooSlow || input.strikes > strikesMax);
      case 'deadline_exceeded':
        return isOver;
      case 'queue_unavailable':
        // With a job that is not added, what waits behind it is refused.
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

  return {
    inputs,
    open: open as ReadonlySet<Request>,
    itemsAt: (api: Api) =>
      [...open].reduce(
        (sum, request) => sum + (request.api === api ? request.inputs.length : 0),
        0,
      ),

    async ask(ask: Ask, api: Api): Promise<'answered' | 'unanswered'> {
      const deadlineAt = nowMs() + ask.deadlineMs;
      const isOverPermits = api.permits + ask.natures.length > limits.permitsMax;
      const request: Request = {
        ask,
        api,
        deadlineAt,
        inputs: ask.natures.map((nature) => makeInput(nature, deadlineAt)),
        response: Object.assign(new EventEmitter(), { destroyed: false }),
        isLate: api.isClosing,
        refusedAddsBefore: api.refusedAdds,
        isTooMuch: isOverPermits || (redis.isUp && redis.countJobs() >= limits.jobsMax),
      };
      open.add(request);
      if (ask.hangsUp) {
        void network.step('a client hangs up').then(() => {
          request.response.destroyed = true;
          request.response.emit('close');
        });
      }
      let failure: ScorelineError | undefined;
      let replies: readonly ScoredReply[] = [];
      try {
        const raw = request.inputs.map(({ number }) => ({ value: number }) as unknown as RawInput);
        replies = await api.score(
          { model: models[ask.model] as Model, inputs: raw, top: 1, deadlineAt },
          request.response as unknown as Response,
        );
      } catch (error) {
        failure = error as ScorelineError;
      }
      // Nobody hears an instance that has died meanwhile.
      if (!api.process.isAlive) return 'unanswered';
      end(request);
      must(request.response.listenerCount('close') === 0, 'a listener is left behind');
      for (const { id } of request.inputs) {
        must(id === undefined || !api.isExpected(id), 'a waiter is left behind');
      }
      if (failure) must(mayFail(request, failure), `without a reason: ${failure.code ?? failure}`);
      else checkAnswer(request, replies);
      return failure ? 'unanswered' : 'answered';
    },

    /** An instance has ended, and with it its connections. */
    disconnect(api: Api) {
      for (const request of open) if (request.api === api) end(request);
    },

    /** Whoever was to be answered before now has been. */
    checkDeadlines() {
      for (const { deadlineAt, inputs } of open) {
        const submittedAt = Math.max(...inputs.map((input) => input.submittedAt));
        const isInTime = nowMs() < Math.max(deadlineAt, submittedAt) + 2;
        must(isInTime, 'a request outlives its deadline');
      }
    },
  };
}
