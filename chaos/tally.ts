// The tally counts every request under one outcome, prints evidence of failures, and sums up the
// run.

import type { Refusal, Sent, Verdict } from './judge.js';
import type { Timeline } from './timeline.js';
import type { WebhookCounts } from './told.js';

/** The result of a run, as its last line of output says it in JSON. */
export interface Summary {
  readonly seed: number;
  readonly seconds: number;
  /** The sum of right, refused, failed_by_design, hung_up, lost, wrong and hung. */
  readonly sent: number;
  readonly right: number;
  readonly right_by_model: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<Refusal, number>>;
  /** Refusals by the last fault that overlapped the request, aftermath included; `none` without one. */
  readonly refused_by_fault: Readonly<Record<string, number>>;
  readonly failed_by_design: number;
  readonly hung_up: number;
  readonly lost: number;
  readonly wrong: number;
  readonly answered_twice: number;
  readonly hung: number;
  /** Of the jobs of asynchronous callers. */
  readonly webhooks: WebhookCounts;
  readonly faults: Readonly<Record<string, number>>;
  readonly slowest_recovery_ms: number;
  readonly slowest_recovery_ms_by_fault: Readonly<Record<string, number>>;
  /** Only of faults that overlapped no other fault. */
  readonly slowest_lone_recovery_ms_by_fault: Readonly<Record<string, number>>;
  /** The longest time to a right answer. */
  readonly slowest_answer_ms: number;
  /** Whether the service passed all checks at the end and each model gave a right answer. */
  readonly well: boolean;
}

export interface Tally {
  /** Counts a request that has ended. */
  record(sent: Sent, verdict: Verdict): void;
  /** Counts a request whose client hung up before the answer. */
  recordHangUp(): void;
  /** Counts a second answer to a request that `record` has counted. */
  recordAnsweredTwice(): void;
  /** Notes what became of the webhooks. */
  recordWebhooks(counts: WebhookCounts): void;
  /** Notes that the service is not well, for a reason that no single request shows. */
  recordIllness(reason: string): void;
  summarize(run: { seed: number; seconds: number }): Summary;
}

/** At most this many failures of one sort are printed. */
const evidenceMax = 8;
/** Evidence names at most this many faults per request, the last ones. */
const faultsNamedMax = 6;

export function makeTally(options: {
  models: readonly string[];
  timeline: Timeline;
  /** Prints a line of evidence. */
  say: (line: string) => void;
  now: () => number;
}): Tally {
  const { timeline, say, now } = options;
  const right = new Map(options.models.map((model) => [model, 0]));
  const refused: Record<Refusal, number> = { '429': 0, '503': 0, '504': 0, connection: 0 };
  const refusedByFault = new Map<string, number>();
  const counts = { failedByDesign: 0, hungUp: 0, lost: 0, wrong: 0, hung: 0, answeredTwice: 0 };
  const startedAt = now();
  const told = new Map<string, number>();
  let slowestAnswerMs = 0;
  let isIll = false;
  let webhooks: WebhookCounts = { right: 0, repeated: 0, missing: 0, wrong: 0 };

  const tell = (sort: string, line: string) => {
    const times = (told.get(sort) ?? 0) + 1;
    told.set(sort, times);
    const seconds = ((now() - startedAt) / 1000).toFixed(1);
    if (times <= evidenceMax) say(`${seconds} s  ${sort}: ${line}`);
    if (times === evidenceMax) say(`${seconds} s  ${sort}: further cases are only counted`);
  };

  const tellOfRequest = (sent: Sent, sort: string, reason: string) => {
    const input = 'poison' in sent.expectation ? `poison (${sent.expectation.poison})` : 'request';
    const faults = timeline.during(sent.sentAt, sent.endedAt);
    const named = faults
      .slice(-faultsNamedMax)
      .map(({ kind, from }) => `${kind} at ${Math.round(from - sent.sentAt)} ms`);
    const elapsedMs = Math.round(sent.endedAt - sent.sentAt);
    const during = `${faults.length} faults, the last ones: ${named.join(', ') || 'none'}`;
    tell(sort, `${reason}; ${sent.model} ${input}, ended after ${elapsedMs} ms; ${during}`);
  };

  const countRefusal = ({ sentAt, endedAt }: Sent) => {
    const kind = timeline.during(sentAt, endedAt).at(-1)?.kind ?? 'none';
    refusedByFault.set(kind, (refusedByFault.get(kind) ?? 0) + 1);
  };

  return {
    record(sent, verdict) {
      switch (verdict.type) {
        case 'right':
          right.set(sent.model, (right.get(sent.model) ?? 0) + 1);
          timeline.answered(sent.model, sent.sentAt);
          slowestAnswerMs = Math.max(slowestAnswerMs, sent.endedAt - sent.sentAt);
          break;
        case 'refused':
          refused[verdict.by]++;
          countRefusal(sent);
          if (verdict.by === '504') tellOfRequest(sent, 'refused', 'deadline exceeded');
          break;
        case 'failedByDesign':
          counts.failedByDesign++;
          break;
        default:
          counts[verdict.type]++;
          tellOfRequest(sent, verdict.type.toUpperCase(), verdict.reason);
      }
    },
    recordHangUp() {
      counts.hungUp++;
    },
    recordAnsweredTwice() {
      counts.answeredTwice++;
      tell('ANSWERED TWICE', 'bytes arrived after a complete response');
    },
    recordWebhooks(counts) {
      webhooks = counts;
    },
    recordIllness(reason) {
      isIll = true;
      tell('NOT WELL', reason);
    },
    summarize({ seed, seconds }) {
      const rights = sum(right.values());
      const { hungUp, failedByDesign, lost, wrong, hung, answeredTwice } = counts;
      const refusals = sum(Object.values(refused));
      const recoveries = roundAll(timeline.recoveries());
      return {
        seed,
        seconds,
        sent: rights + refusals + failedByDesign + hungUp + lost + wrong + hung,
        right: rights,
        right_by_model: Object.fromEntries(right),
        refused,
        refused_by_fault: Object.fromEntries(refusedByFault),
        failed_by_design: failedByDesign,
        hung_up: hungUp,
        lost,
        wrong,
        answered_twice: answeredTwice,
        hung,
        webhooks,
        faults: timeline.counts(),
        slowest_recovery_ms: Math.max(0, ...Object.values(recoveries)),
        slowest_recovery_ms_by_fault: recoveries,
        slowest_lone_recovery_ms_by_fault: roundAll(timeline.loneRecoveries()),
        slowest_answer_ms: Math.round(slowestAnswerMs),
        well: !isIll && [...right.values()].every((count) => count > 0),
      };
    },
  };
}

/**
 * Whether the run passed: nothing lost, wrong, answered twice or hung, no webhook missing or wrong, and the service
 * is well.
 */
export function isPassed(summary: Summary): boolean {
  const { lost, wrong, answered_twice, hung, webhooks, well } = summary;
  const untold = webhooks.missing + webhooks.wrong;
  return lost + wrong + answered_twice + hung + untold === 0 && well;
}

/** Returns the summary as a table for people. */
export function formatSummary(summary: Summary): string {
  const list = (counts: Readonly<Record<string, number>>, unit = '') =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}${unit}`)
      .join(', ');
  const refusals = sum(Object.values(summary.refused));
  const rows: ReadonlyArray<readonly [string, string | number, string?]> = [
    ['sent', summary.sent, `in ${summary.seconds} s, seed ${summary.seed}`],
    ['right', summary.right, list(summary.right_by_model)],
    ['refused', refusals, list(summary.refused)],
    ['during the fault', '', list(summary.refused_by_fault)],
    ['failed by design', summary.failed_by_design],
    ['hung up by design', summary.hung_up],
    ['lost', summary.lost],
    ['wrong', summary.wrong],
    ['answered twice', summary.answered_twice],
    ['hung', summary.hung],
    ['webhooks', summary.webhooks.right, list({ ...summary.webhooks })],
    [
      'slowest recovery',
      `${summary.slowest_recovery_ms} ms`,
      list(summary.slowest_recovery_ms_by_fault, ' ms'),
    ],
    ['of a lone fault', '', list(summary.slowest_lone_recovery_ms_by_fault, ' ms')],
    ['slowest answer', `${summary.slowest_answer_ms} ms`],
    ['faults', sum(Object.values(summary.faults)), list(summary.faults)],
    ['well afterwards', summary.well ? 'yes' : 'no'],
  ];
  const lines = rows.map(([name, value, detail]) =>
    `${name.padEnd(18)} ${String(value).padStart(9)}${detail ? `   ${detail}` : ''}`.trimEnd(),
  );
  return lines.join('\n');
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

function roundAll(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Math.round(value)]),
  );
}
