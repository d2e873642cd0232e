// The instruments of a process, made from the table: the door to prom-client.
//
// Counters and histograms are added to where something happens. Gauges cost nothing until somebody
// reads them: a part that has a state gives a function, which is called for each scrape.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Role } from '../configuration/configuration.js';
import { type MetricKey, type MetricRow, metricTable } from './table.js';

type Table = typeof metricTable;
type KeysOf<T extends MetricRow['type']> = {
  [K in MetricKey]: Table[K]['type'] extends T ? K : never;
}[MetricKey];
export type Labels<K extends MetricKey> = Readonly<Record<Table[K]['labels'][number], string>>;
/** One value for each series. A series that is not there is unknown. */
export type Values<K extends MetricKey> = Iterable<readonly [labels: Labels<K>, value: number]>;

/** The values of a metric, counted since the start. */
export interface MetricValues extends Pick<MetricRow, 'name' | 'type' | 'unit' | 'meaning'> {
  /** The upper bounds of a histogram, without infinity. */
  readonly bounds: readonly number[];
  readonly series: readonly Series[];
}

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  /** The sum of the values, if it is a histogram. */
  readonly value: number;
  /** How many values a histogram has; 0 for others. */
  readonly count: number;
  /** How many of them lie in each bucket and in none before it, infinity included. */
  readonly counts: readonly number[];
}

/** The trace of one of the values. Scrapers that ask for OpenMetrics get it with the bucket. */
export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string;
}

/** What the process sends for a scrape. */
export interface Exposition {
  readonly type: string;
  readonly text: string;
}

export class Instruments {
  readonly #registry = new Registry();
  /** The same metrics in the text format of OpenMetrics, which has exemplars. */
  readonly #openRegistry = makeOpenRegistry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  /** The labels of the series of histograms that have begun, by metric and labels. */
  readonly #begun = new Map<string, Readonly<Record<string, string>>>();
  readonly #fills: (() => Promise<void>)[] = [];

  constructor(role: Role) {
    for (const [key, row] of Object.entries(metricTable) as [MetricKey, MetricRow][]) {
      if (row.roles.includes(role)) this.#make(key, row);
    }
  }

  /** Adds to a counter. */
  add<K extends KeysOf<'counter'>>(key: K, labels: Labels<K>, amount = 1): void {
    this.#counters.get(key)?.inc(labels, amount);
  }

  /** Adds a value to a histogram. */
  observe<K extends KeysOf<'histogram'>>(
    key: K,
    labels: Labels<K>,
    value: number,
    exemplar?: Exemplar,
  ): void {
    const histogram = this.#histograms.get(key);
    if (!exemplar) histogram?.observe({ labels, value });
    else {
      const exemplarLabels = { trace_id: exemplar.traceId, span_id: exemplar.spanId };
      histogram?.observe({ labels, value, exemplarLabels });
    }
  }

  /** Creates the series of a histogram before its first value, unless it is there. A version may come back. */
  begin<K extends KeysOf<'histogram'>>(key: K, labels: Labels<K>): void {
    const series = `${key} ${JSON.stringify(labels)}`;
    if (this.#begun.has(series)) return;
    this.#begun.set(series, labels);
    this.#histograms.get(key)?.zero(labels);
  }

  /** Takes away what was counted of a version. Its gauges end with what they are read from. */
  async forget({ model, version }: Labels<'unanswered'>): Promise<void> {
    for (const metric of [...this.#counters.values(), ...this.#histograms.values()]) {
      const { values } = (await metric.get()) as unknown as Dump;
      for (const { labels: all } of values) {
        const { le: _, ...labels } = all;
        if (labels.model === model && labels.version === version) metric.remove(labels);
      }
    }
    for (const [series, labels] of this.#begun) {
      if (labels.model === model && labels.version === version) this.#begun.delete(series);
    }
  }

  /** Reads a gauge, or a counter that somebody else counts, with each scrape. */
  read<K extends KeysOf<'counter' | 'gauge'>>(
    key: K,
    values: () => Values<K> | Promise<Values<K>>,
  ): void {
    this.#fills.push(async () => {
      const now = [...(await values())];
      const gauge = this.#gauges.get(key);
      const counter = this.#counters.get(key);
      if (gauge) clear(gauge, key);
      counter?.reset();
      for (const [labels, value] of now) {
        gauge?.set(labels, value);
        counter?.inc(labels, value);
      }
    });
  }

  /** Reads a gauge or counter without labels. */
  readOne<K extends KeysOf<'counter' | 'gauge'>>(key: K, value: () => number): void {
    this.read(key, () => [[{} as Labels<K>, value()]]);
  }

  /** Returns all values, in the text format of Prometheus, or of OpenMetrics. */
  async expose(format: 'prometheus' | 'openmetrics' = 'prometheus'): Promise<Exposition> {
    await this.#fill();
    const registry = format === 'prometheus' ? this.#registry : this.#openRegistry;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  /** Returns all values, for exporters. */
  async values(): Promise<MetricValues[]> {
    await this.#fill();
    const rows = new Map<string, MetricRow>(
      Object.values(metricTable).map((row) => [row.name, row]),
    );
    const metrics = (await this.#registry.getMetricsAsJSON()) as unknown as Dump[];
    return metrics.map((metric) => valuesOf(metric, rows.get(metric.name) as MetricRow));
  }

  /** Returns the series of one metric that is added to. Nobody is asked for a state, as with a scrape. */
  async seriesOf(key: KeysOf<'counter' | 'histogram'>): Promise<readonly Series[]> {
    const metric = this.#counters.get(key) ?? this.#histograms.get(key);
    if (!metric) return [];
    return valuesOf((await metric.get()) as unknown as Dump, metricTable[key]).series;
  }

  async #fill(): Promise<void> {
    await Promise.all(this.#fills.map((fill) => fill()));
  }

  #make(key: MetricKey, row: MetricRow): void {
    const { name, meaning, labels } = row;
    const help = meaning.replaceAll('`', '');
    const options = { name, help, labelNames: [...labels], registers: [] };
    if (row.type === 'counter') this.#show(this.#counters, key, new Counter(options));
    else if (row.type === 'gauge') {
      const gauge = new Gauge(options);
      clear(gauge, key);
      this.#show(this.#gauges, key, gauge);
    } else {
      const buckets = [...(row.buckets ?? [])];
      const histogram = new Histogram({ ...options, buckets, enableExemplars: true });
      this.#show(this.#histograms, key, histogram);
    }
  }

  /**
   * Registers a metric in both formats. The registry of OpenMetrics renames counters, so it gets an object of its
   * own with the same values.
   */
  #show<M extends Counter | Gauge | Histogram>(kind: Map<string, M>, key: string, metric: M): void {
    kind.set(key, metric);
    this.#registry.registerMetric(metric as Counter);
    this.#openRegistry.registerMetric(Object.create(metric) as Counter);
  }
}

function makeOpenRegistry(): Registry {
  const registry = new Registry();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
  return registry;
}

/** A metric as prom-client dumps it. A histogram has values of three names for each series. */
interface Dump {
  readonly name: string;
  readonly values: readonly {
    readonly labels: Readonly<Record<string, string | number>>;
    readonly value: number;
    readonly metricName?: string;
  }[];
}

function valuesOf(
  { name, values }: Dump,
  { type, unit, meaning, buckets = [] }: MetricRow,
): MetricValues {
  const head = { name, type, unit, meaning, bounds: buckets };
  if (type !== 'histogram') {
    return {
      ...head,
      series: values.map(({ labels, value }) => ({ ...emptySeries(labels), value })),
    };
  }
  const found = new Map<string, ReturnType<typeof emptySeries>>();
  for (const { labels: all, value, metricName } of values) {
    const { le: _, ...labels } = all;
    const key = JSON.stringify(labels);
    const series = found.get(key) ?? emptySeries(labels);
    found.set(key, series);
    if (metricName === `${name}_sum`) series.value = value;
    else if (metricName === `${name}_count`) series.count = value;
    else series.counts = [...series.counts, value];
  }
  for (const series of found.values()) series.counts = apart(series.counts);
  return { ...head, series: [...found.values()] };
}

function emptySeries(labels: Dump['values'][number]['labels']): {
  -readonly [K in keyof Series]: Series[K];
} {
  return { labels: labels as Series['labels'], value: 0, count: 0, counts: [] };
}

/** The count of each bucket alone, from those of all buckets up to it. */
function apart(cumulative: readonly number[]): number[] {
  return cumulative.map((count, at) => count - (cumulative[at - 1] ?? 0));
}

/** Takes all series away. prom-client keeps that of a gauge without labels, at 0. */
function clear(gauge: Gauge, key: MetricKey): void {
  gauge.reset();
  if (metricTable[key].labels.length === 0) gauge.remove();
}
