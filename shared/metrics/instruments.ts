// The instruments of a process, made from the table: the door to prom-client.
//
// Counters and histograms are added to where something happens. Gauges cost nothing until somebody
// reads them: a part that has a state gives a function, which is called for each scrape.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Role } from '../configuration.js';
import { type MetricKey, type MetricRow, metricTable } from './table.js';

type Table = typeof metricTable;
type KeysOf<T extends MetricRow['type']> = {
  [K in MetricKey]: Table[K]['type'] extends T ? K : never;
}[MetricKey];
export type Labels<K extends MetricKey> = Readonly<Record<Table[K]['labels'][number], string>>;
/** One value for each series. A series that is not there is unknown. */
export type Values<K extends MetricKey> = Iterable<readonly [labels: Labels<K>, value: number]>;

/** What the process sends for a scrape. */
export interface Exposition {
  readonly type: string;
  readonly text: string;
}

export class Instruments {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
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
  observe<K extends KeysOf<'histogram'>>(key: K, labels: Labels<K>, value: number): void {
    this.#histograms.get(key)?.observe(labels, value);
  }

  /** Creates the series of a histogram before its first value. */
  begin<K extends KeysOf<'histogram'>>(key: K, labels: Labels<K>): void {
    this.#histograms.get(key)?.zero(labels);
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

  /** Returns all values, in the text format of Prometheus. */
  async expose(): Promise<Exposition> {
    await Promise.all(this.#fills.map((fill) => fill()));
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #make(key: MetricKey, row: MetricRow): void {
    const { name, meaning, labels } = row;
    const help = meaning.replaceAll('`', '');
    const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
    if (row.type === 'counter') this.#counters.set(key, new Counter(options));
    else if (row.type === 'gauge') {
      const gauge = new Gauge(options);
      clear(gauge, key);
      this.#gauges.set(key, gauge);
    } else {
      const buckets = [...(row.buckets ?? [])];
      this.#histograms.set(key, new Histogram({ ...options, buckets }));
    }
  }
}

/** Takes all series away. prom-client keeps that of a gauge without labels, at 0. */
function clear(gauge: Gauge, key: MetricKey): void {
  gauge.reset();
  if (metricTable[key].labels.length === 0) gauge.remove();
}
