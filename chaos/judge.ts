// The judge: what became of a request. Strict: an outcome that no rule allows is a failure.
//
//   right             200 with the expected answer
//   refused           429 or 503 with Retry-After, 504 at the deadline, or a connection that was
//                     not made or was closed: each while something was broken that explains it
//   failed by design  a poison's own 500
//   lost              an innocent request that ended in any other way
//   wrong             another answer than the expected one, a poison with any other end than its
//                     own, a refusal that does not say when to ask again
//   hung              nothing within the deadline and five seconds more

import type { Outcome, Response } from './client.js';
import { findDifference, type Ranked } from './expected.js';
import { type PoisonKind, poisonCodes } from './poison.js';
import type { Timeline } from './timeline.js';

/** What a request is expected to end with. */
export type Expectation =
  | { readonly expected: readonly Ranked[] }
  | { readonly poison: PoisonKind };

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

/** How a target words its answers. */
export interface AnswerForm {
  /** The best labels of a body with status 200; throws when it has another form. */
  read(body: string): Ranked[];
  readonly tolerance: number;
  /** Whether the service claims to answer what it has accepted before it restarts. */
  readonly connectionLossIsRefusal: boolean;
}

/** What went over the wire just before the process was told to end may not have been read by it. */
const inTransitMs = 100;
/** So many poisons at a time, one itself included, are answered within the deadline of each. */
const poisonsInTime = 2;
/** How much earlier than asked for a deadline may be called exceeded. */
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
   * A connection fails while the API restarts. What it had accepted before it was told to end, it
   * must still answer.
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
   * Not even a poison may use up its deadline by itself; but one may wait for others, since a worker
   * tries them one after the other, each several times.
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
