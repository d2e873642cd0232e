// Alerts on burn rates, made from the goals in the manifests.
//
// A goal of 0.999 leaves a budget of 0.001 of the requests for errors, over 30 days. The burn rate is how
// many times faster than that errors come: at 1 the budget lasts 30 days, at 14.4 two. An alert looks at two
// windows: the long one shows that it matters, the short one that it still goes on. The windows and rates
// are those of "The Site Reliability Workbook" (Google), chapter 5.

import type { ErrorCode } from '../shared/errors.js';
import type { Slo } from '../shared/manifest/slo.js';
import { faultCodes, scoringRoutes } from '../shared/metrics/table.js';
import type { AlertRule, RecordingRule, RuleGroup } from './rules.js';

interface Burn {
  readonly rate: number;
  readonly long: string;
  readonly short: string;
  readonly severity: 'critical' | 'warning';
}

const burns: readonly Burn[] = [
  { rate: 14.4, long: '1h', short: '5m', severity: 'critical' },
  { rate: 6, long: '6h', short: '30m', severity: 'critical' },
  { rate: 1, long: '3d', short: '6h', severity: 'warning' },
];
const windows = ['5m', '30m', '1h', '6h', '3d'] as const;

/** The codes that count against the availability: what the service is to blame for. */
const badCodes: readonly ErrorCode[] = [...faultCodes, 'overloaded'];
/** What tells services with the same model apart, where Prometheus sets it (alerts.yaml). */
const service = 'cluster, namespace, job';
/** Probes and pages are no part of a model's service. */
const scoring = `route=~"${scoringRoutes.join('|')}"`;

interface Goal {
  readonly slo: 'availability' | 'latency';
  /** The share of requests that may be bad. */
  readonly budget: number;
  /** What bad requests do, for people. */
  readonly meaning: string;
  /** Returns the share of requests that were bad in a window. */
  readonly badShare: (window: string) => string;
}

/** Makes a group of rules for each model that has goals. */
export function makeSloGroups(
  models: readonly { readonly name: string; readonly slo?: Slo | undefined }[],
): RuleGroup[] {
  return models.flatMap(({ name, slo }) =>
    slo === undefined
      ? []
      : [
          {
            name: `scoreline-slo-${name}`,
            rules: goalsOf(name, slo).flatMap((goal) => rulesOf(name, goal)),
          },
        ],
  );
}

function goalsOf(model: string, { availability, latencyMs, latencyPercentile }: Slo): Goal[] {
  const goals: Goal[] = [];
  if (availability !== undefined) {
    const requests = (labels: string, window: string) =>
      `sum by (${service}) (rate(scoreline_requests_total{model="${model}", ${scoring}${labels}}[${window}]))`;
    goals.push({
      slo: 'availability',
      budget: round(1 - availability),
      meaning: 'fail because of the service',
      badShare: (window) =>
        `${requests(`, code=~"${badCodes.join('|')}"`, window)}\n  / ${requests('', window)}`,
    });
  }
  if (latencyMs !== undefined) {
    const counted = (what: string, window: string) =>
      `sum by (${service}) (rate(scoreline_request_duration_seconds_${what}[${window}]))`;
    const within = `bucket{model="${model}", ${boundOf(latencyMs / 1000)}}`;
    goals.push({
      slo: 'latency',
      budget: round(1 - latencyPercentile / 100),
      meaning: `take longer than ${latencyMs} ms`,
      badShare: (window) =>
        `1 - ${counted(within, window)}\n  / ${counted(`count{model="${model}"}`, window)}`,
    });
  }
  return goals;
}

function rulesOf(model: string, goal: Goal): (AlertRule | RecordingRule)[] {
  const { slo, budget, badShare } = goal;
  const labels = { model, slo };
  return [
    { record: 'scoreline:slo_budget:ratio', expr: `vector(${budget})`, labels },
    ...windows.map((window) => ({
      record: `scoreline:slo_errors:ratio_rate${window}`,
      expr: badShare(window),
      labels,
    })),
    ...(['critical', 'warning'] as const).map((severity) => alertOf(model, goal, severity)),
  ];
}

function alertOf(model: string, { slo, budget, meaning }: Goal, severity: Burn['severity']) {
  const selector = `{model="${model}", slo="${slo}"}`;
  const isOver = (window: string, rate: number) =>
    `scoreline:slo_errors:ratio_rate${window}${selector} > ${round(rate * budget)}`;
  const matching = burns.filter((burn) => burn.severity === severity);
  const expr = matching
    .map(({ rate, long, short }) => `(${isOver(long, rate)} and ${isOver(short, rate)})`)
    .join('\nor\n');
  const longs = matching.map(({ long }) => long);
  return {
    alert: slo === 'availability' ? 'ScorelineAvailabilityBurns' : 'ScorelineLatencyBurns',
    expr,
    labels: { severity, model, slo },
    annotations: {
      summary: `${model}: {{ $value | humanizePercentage }} of the requests ${meaning}, over ${longs.join(' or ')}. The goal allows ${percent(budget)}.`,
      runbook: `docs/monitoring.md#${slo}-burns`,
    },
  };
}

/** Prometheus 2 keeps the bound of a bucket as it is sent, such as 5. Prometheus 3 makes it 5.0. */
function boundOf(seconds: number): string {
  return Number.isInteger(seconds) ? `le=~"${seconds}|${seconds}[.]0"` : `le="${seconds}"`;
}

function percent(share: number): string {
  return `${round(share * 100)} %`;
}

/** Takes away what binary fractions add: 1 - 0.999 is 0.001. */
function round(value: number): number {
  return Number(value.toPrecision(6));
}
