// The judge decides what became of a request. It is strict: any outcome that no rule allows is a
// failure.
//
//   right             status 200 with the expected answer
//   refused           429 or 503 with Retry-After; or, while a fault explains it, 504 at the
//                     deadline or a connection that failed
//   failed by design  a poison that got the 500 of its kind
//   lost              an innocent request that ended in any other way
//   wrong             another answer than the expected one, a poison that ended in any other way,
//                     or a refusal without Retry-After
//   hung              no response within the deadline and another five seconds

import type { Outcome, Response } from './client.js';
import { findDifference, type Ranked } from './expected.js';
import { type PoisonKind, poisonCodes } from './poison.js';
import type { Timeline } from './timeline.js';

/** How a request should end. */
export type Expectation =
  | { readonly expected: readonly Ranked[] }
  | { readonly poison: PoisonKind };

/** A request that has ended. Its times are in ms, on the clock of the run. */
export interface Sent {
  readonly model: string;
  readonly expectation: Expectation;
  readonly sentAt: number;
  readonly endedAt: number;
  readonly deadlineMs: number;
}

export type Refusal = '429' | '503' | '504' | 'connection';

export type Verdict =
  | { readonly type: 'right' | 'failedByDesign' }
  | { readonly type: 'refused'; readonly by: Refusal }
  | { readonly type: 'lost' | 'wrong' | 'hung'; readonly reason: string };

export type Judge = (sent: Sent, outcome: Outcome) => Verdict;

/** How to read and compare the answers of a target. */
export interface AnswerForm {
  /** Returns the best labels in the body of a 200. Throws if the body has another form. */
  read(body: string): Ranked[];
  /** How far a score may be from the expected one. */
  readonly tolerance: number;
  /** Whether the service promises to answer all accepted requests before it restarts. */
  readonly connectionLossIsRefusal: boolean;
}

/** A request sent this shortly before the SIGTERM may not have been read by the process. */
const inTransitMs = 100;
/** Up to this many poisons at a time, the judged one included, are answered by their deadlines. */
const poisonsInTime = 2;
/** A 504 may come this much before the deadline. */
const earlyMs = 100;

export function makeJudge(timeline: Timeline, formOf: (model: string) => AnswerForm): Judge {
  return (sent, outcome) => {
    switch (outcome.type) {
      case 'silence':
        return { type: 'hung', reason: 'no response' };
      case 'unreachable':
      case 'closed':
        return judgeConnection(sent, outcome);
      case 'response':
        return judgeResponse(sent, outcome.response);
    }
  };

  /**
   * Connections may fail while the API restarts. But the API must still answer every request it
   * accepted before its SIGTERM.
   */
  function judgeConnection(
    sent: Sent,
    { type, reason }: Exclude<Outcome, { type: 'response' | 'silence' }>,
  ): Verdict {
    const restarts = timeline.during(sent.sentAt, sent.endedAt, ['api-restart']);
    const wasAccepted = (from: number) => type === 'closed' && sent.sentAt < from - inTransitMs;
    const isExplained =
      formOf(sent.model).connectionLossIsRefusal &&
      restarts.some((restart) => !wasAccepted(restart.from));
    if (isExplained) return { type: 'refused', by: 'connection' };
    const when = restarts.length > 0 ? 'accepted before the restart' : 'without a restart';
    return { type: 'lost', reason: `connection ${type} (${reason}), ${when}` };
  }

  function judgeResponse(sent: Sent, response: Response): Verdict {
    const { status } = response;
    if (status === 429 || status === 503) {
      const seconds = response.headers.get('retry-after') ?? '';
      if (/^\d+$/.test(seconds)) return { type: 'refused', by: String(status) as Refusal };
      return { type: 'wrong', reason: `${describe(response)} without Retry-After` };
    }
    if (status === 504) return judgeDeadline(sent, response);
    if ('poison' in sent.expectation) return judgePoison(sent.expectation.poison, response);
    if (status !== 200) return { type: 'lost', reason: describe(response) };
    return judgeAnswer(sent, sent.expectation.expected, response);
  }

  function judgeDeadline(sent: Sent, response: Response): Verdict {
    const elapsedMs = sent.endedAt - sent.sentAt;
    const isRefusal =
      codeOf(response) === 'deadline_exceeded' &&
      elapsedMs >= sent.deadlineMs - earlyMs &&
      hasExcuse(sent);
    if (isRefusal) return { type: 'refused', by: '504' };
    return { type: 'lost', reason: `${describe(response)} after ${Math.round(elapsedMs)} ms` };
  }

  /**
   * A poison alone is no excuse for missing its deadline. It may wait for other poisons, though: a
   * worker tries them one after the other, each several times.
   */
  function hasExcuse({ sentAt, endedAt, expectation }: Sent): boolean {
    const faults = timeline.during(sentAt, endedAt);
    if (!('poison' in expectation)) return faults.length > 0;
    const poisons = faults.filter(({ kind }) => kind === 'poison').length;
    return faults.length > poisons || poisons > poisonsInTime;
  }

  function judgePoison(poison: PoisonKind, response: Response): Verdict {
    const code = poisonCodes[poison];
    if (response.status === 500 && codeOf(response) === code) return { type: 'failedByDesign' };
    return { type: 'wrong', reason: `expected 500 ${code}; got ${describe(response)}` };
  }

  function judgeAnswer(sent: Sent, expected: readonly Ranked[], response: Response): Verdict {
    const form = formOf(sent.model);
    try {
      const difference = findDifference(expected, form.read(response.body), form.tolerance);
      return difference ? { type: 'wrong', reason: difference } : { type: 'right' };
    } catch (error) {
      return { type: 'wrong', reason: `${String(error)}: ${response.body.slice(0, 200)}` };
    }
  }
}

function codeOf(response: Response): string | undefined {
  try {
    return JSON.parse(response.body).code;
  } catch {
    return undefined;
  }
}

function describe(response: Response): string {
  return `${response.status} ${codeOf(response) ?? response.body.slice(0, 200)}`;
}
