// The outcome of a simulated scenario.

export interface Outcome {
  readonly scenario: string;
  readonly model: string;
  readonly itemsPerWorker: number;
  readonly coolDownSeconds: number;
  /** All items: answered, refused (429), past their deadline (504), or unfinished at the end. */
  readonly items: number;
  readonly answered: number;
  readonly refused: number;
  readonly expired: number;
  readonly unfinished: number;
  /** From arrival to answer, of those that were answered; undefined if none was. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly workersMax: number;
  readonly workersMean: number;
  /** From the first item until a worker was ready, and until the most were. */
  readonly firstReadySeconds: number | undefined;
  readonly mostReadySeconds: number | undefined;
  /** From the last item until there was no worker, if that happened. */
  readonly noneAfterSeconds: number | undefined;
  /** Of workers that had a place on a machine. A worker on a GPU has one GPU. */
  readonly workerHours: number;
  /** The share of it in which they scored. */
  readonly busyShare: number;
  readonly nodeHours: number;
  readonly cost: number;
}

/** The state at one moment, for the plot. */
export interface Sample {
  readonly atSeconds: number;
  /** Items a second since the sample before. */
  readonly perSecond: number;
  readonly unanswered: number;
  readonly workers: number;
  readonly ready: number;
  readonly nodes: number;
}

export interface Run {
  readonly outcome: Outcome;
  readonly samples: readonly Sample[];
}

/** Returns the value that the given share of the sorted values does not exceed; undefined if there are none. */
export function quantile(
  sorted: readonly number[] | Float64Array,
  share: number,
): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
