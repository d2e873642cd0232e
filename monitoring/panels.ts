// What the dashboard shows: one entry a panel, with its queries. grafana.ts makes the dashboard from it.
//
// Gauges that all API instances report alike, such as the unanswered items, are joined by `max`; what each
// process counts for itself is added up.
//
// A Prometheus may scrape several services, and programs that are none. Each query takes the chosen services only.

export interface Query {
  readonly expr: string;
  /** The name of a line, from its labels. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** What it shows, and what to conclude. */
  readonly about: string;
  /** A unit of Grafana. */
  readonly unit: 's' | 'short' | 'reqps' | 'percentunit' | 'bytes' | 'currencyUSD';
  /** Whether the lines add up to a whole. */
  readonly isStacked?: boolean;
  readonly queries: readonly Query[];
}

export interface Section {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** What tells services apart, as in the alerts. Each is a variable of the dashboard. */
export const serviceLabels = ['cluster', 'namespace', 'job'] as const;

const service = serviceLabels.map((label) => `${label}=~"$${label}"`).join(', ');
const model = `${service}, model=~"$model"`;
const window = '[$__rate_interval]';

const rate = (metric: string, labels = model) => `rate(${metric}{${labels}}${window})`;
const percentile = (share: number, metric: string, labels = model) =>
  `histogram_quantile(${share}, sum by (le) (${rate(`${metric}_bucket`, labels)}))`;
const mean = (metric: string) => `sum(${rate(`${metric}_sum`)}) / sum(${rate(`${metric}_count`)})`;
const byModel = (metric: string) => `max by (model) (${metric}{${model}})`;

const instance = `${serviceLabels.join(', ')}, instance`;
/** Metrics that other programs have under the same name. */
const ofScoreline = (expr: string) =>
  `${expr} and on (${instance}) scoreline_build_info{${service}}`;
const countOf = (role: 'api' | 'worker') =>
  `count(scoreline_build_info{${service}, role="${role}"})`;

const machines = `($api_price * ${countOf('api')} + $worker_price * (${countOf('worker')} or vector(0)))`;

export const sections: readonly Section[] = [
  {
    title: 'The queue',
    panels: [
      {
        title: 'Unanswered items',
        about: 'Rows of inputs that wait for an answer. KEDA adds workers by this number.',
        unit: 'short',
        queries: [
          {
            expr: `sum by (model) (max by (model, version) (scoreline_unanswered_items{${model}}))`,
            legend: '{{model}}',
          },
        ],
      },
      {
        title: 'Age of the oldest request',
        about: 'Half of the deadline is the bound of an alert; at the deadline, requests fail.',
        unit: 's',
        queries: [
          { expr: byModel('scoreline_oldest_request_age_seconds'), legend: '{{model}}' },
          {
            expr: `0.5 * ${byModel('scoreline_deadline_seconds')}`,
            legend: 'half of the deadline: {{model}}',
          },
        ],
      },
      {
        title: 'Drain time',
        about: 'How long the workers need for all that is in flight, at the present rate.',
        unit: 's',
        queries: [{ expr: byModel('scoreline_drain_seconds'), legend: '{{model}}' }],
      },
    ],
  },
  {
    title: 'Replicas',
    panels: [
      {
        title: 'Workers and API instances',
        about: 'Live workers as Redis lists them, and the API instances that are scraped.',
        unit: 'short',
        queries: [
          { expr: byModel('scoreline_workers'), legend: 'workers: {{model}}' },
          { expr: countOf('api'), legend: 'API instances' },
        ],
      },
      {
        title: 'Workers by state',
        about: 'Workers that stay in a state other than ready do not take work.',
        unit: 'short',
        isStacked: true,
        queries: [
          { expr: `sum by (state) (scoreline_worker_state{${service}})`, legend: '{{state}}' },
        ],
      },
      {
        title: 'Retries and crashes',
        about:
          'Jobs that came back from a lost worker, and batches that ended the process of the quarantine.',
        unit: 'reqps',
        queries: [
          { expr: `sum(${rate('scoreline_recovered_jobs_total')})`, legend: 'recovered jobs' },
          {
            expr: `sum(${rate('scoreline_quarantine_crashes_total')})`,
            legend: 'crashes in quarantine',
          },
          { expr: `sum(${rate('scoreline_handed_back_jobs_total')})`, legend: 'handed back' },
          {
            expr: `sum by (reason) (${rate('scoreline_dropped_items_total')})`,
            legend: 'dropped: {{reason}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Requests',
    panels: [
      {
        title: 'Throughput',
        about: 'Items that workers have answered, each second.',
        unit: 'reqps',
        queries: [
          {
            expr: `sum by (model) (${rate('scoreline_items_total', `${model}, code="ok"`)})`,
            legend: '{{model}}',
          },
        ],
      },
      {
        title: 'Refusals by reason',
        about: 'Requests answered with 429 or 503. docs/metrics.md explains each reason.',
        unit: 'reqps',
        isStacked: true,
        queries: [
          {
            expr: `sum by (reason) (${rate('scoreline_refusals_total')})`,
            legend: '{{reason}}',
          },
        ],
      },
      {
        title: 'Requests that were not answered well, by code',
        about: 'docs/errors.md explains each code.',
        unit: 'reqps',
        isStacked: true,
        queries: [
          {
            expr: `sum by (code) (${rate('scoreline_requests_total', `${model}, code!="ok"`)})`,
            legend: '{{code}}',
          },
        ],
      },
      {
        title: 'Latency',
        about: 'From the arrival of a request until its answer is sent.',
        unit: 's',
        queries: [0.5, 0.95, 0.99].map((share) => ({
          expr: percentile(share, 'scoreline_request_duration_seconds'),
          legend: `p${share * 100}`,
        })),
      },
      {
        title: 'Where the time goes',
        about:
          'Means, one on the other. Much in the queue: add workers. Much in the run: the model is slow, or its batches are large.',
        unit: 's',
        isStacked: true,
        queries: [
          { expr: mean('scoreline_preparation_duration_seconds'), legend: 'prepare' },
          { expr: mean('scoreline_queue_wait_seconds'), legend: 'queue' },
          { expr: mean('scoreline_batch_wait_seconds'), legend: 'batch' },
          { expr: mean('scoreline_run_duration_seconds'), legend: 'run' },
        ],
      },
      {
        title: 'Batch size',
        about: 'Rows in a run of the model, on average. Batches grow under load.',
        unit: 'short',
        queries: [
          {
            expr: `sum by (model) (${rate('scoreline_batch_size_rows_sum')}) / sum by (model) (${rate('scoreline_batch_size_rows_count')})`,
            legend: '{{model}}',
          },
        ],
      },
      {
        title: 'Burn rate over an hour',
        about:
          'How many times faster than its goal allows a model has failed, or was slow. Only models with goals have one. From 14.4 on, an alert fires.',
        unit: 'short',
        queries: [
          {
            expr: `scoreline:slo_errors:ratio_rate1h{${model}} / on (model, slo) group_left scoreline:slo_budget:ratio`,
            legend: '{{model}}: {{slo}}',
          },
        ],
      },
      {
        title: 'Cost an hour',
        about: 'The instances that run, at the prices above: of an API instance, and of a worker.',
        unit: 'currencyUSD',
        queries: [{ expr: machines, legend: 'all instances' }],
      },
      {
        title: 'Cost of a million items',
        about: 'At the present throughput.',
        unit: 'currencyUSD',
        queries: [
          {
            expr: `1e6 * ${machines} / 3600 / sum(${rate('scoreline_items_total', `${service}, code="ok"`)})`,
            legend: 'a million items',
          },
        ],
      },
    ],
  },
  {
    title: 'Saturation',
    panels: [
      {
        title: 'Event loop: lag',
        about:
          'How late the event loop is, in the slowest 1 of 100 turns. Above 0.1 s, all requests wait.',
        unit: 's',
        queries: [
          {
            expr: ofScoreline(`nodejs_eventloop_lag_p99_seconds{${service}}`),
            legend: '{{job}} {{instance}}',
          },
        ],
      },
      {
        title: 'Event loop and processor',
        about: 'An event loop that is busy all the time is the bound of an API instance: add one.',
        unit: 'percentunit',
        queries: [
          {
            expr: ofScoreline(rate('nodejs_eventloop_active_seconds_total', service)),
            legend: 'loop: {{instance}}',
          },
          {
            expr: ofScoreline(rate('process_cpu_seconds_total', service)),
            legend: 'processor: {{instance}}',
          },
        ],
      },
      {
        title: 'Memory: heap',
        about: 'The used share of the heap. A process ends at 1.',
        unit: 'percentunit',
        queries: [
          {
            expr: ofScoreline(
              `nodejs_heap_size_used_bytes{${service}} / nodejs_heap_size_limit_bytes{${service}}`,
            ),
            legend: '{{instance}}',
          },
        ],
      },
      {
        title: 'Permits and image decoding',
        about: 'Shares of PERMITS_MAX in use, and of the images that are decoded at a time.',
        unit: 'percentunit',
        queries: [
          {
            expr: `sum by (${instance}) (scoreline_inputs_in_flight{${service}}) / on (${instance}) scoreline_permits_max{${service}}`,
            legend: 'permits: {{instance}}',
          },
          {
            expr: `sum by (${instance}) (scoreline_image_decodes{${service}}) / on (${instance}) scoreline_image_decodes_max{${service}}`,
            legend: 'decoding, with what waits: {{instance}}',
          },
        ],
      },
      {
        title: 'Redis: round trip',
        about: 'How long Redis takes for a small command.',
        unit: 's',
        queries: [0.5, 0.99].map((share) => ({
          expr: percentile(share, 'scoreline_redis_round_trip_seconds', service),
          legend: `p${share * 100}`,
        })),
      },
      {
        title: 'Redis: memory',
        about: 'From nine tenths on, new requests get 429.',
        unit: 'bytes',
        queries: [
          { expr: `max(scoreline_redis_memory_bytes{${service}})`, legend: 'used' },
          { expr: `max(scoreline_redis_memory_max_bytes{${service}})`, legend: 'limit' },
        ],
      },
    ],
  },
];
