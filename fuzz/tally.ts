// What a run counts, and how it says it.

export interface Counts {
  readonly [name: string]: number;
}

/** The result of a run, as its last line of output says it in JSON. */
export interface Summary {
  readonly seed: number;
  readonly seconds: number;
  readonly requests: number;
  readonly by_mutation: Counts;
  /** How exchanges ended that got no answer. */
  readonly unanswered: Counts;
  readonly by_status: Counts;
  readonly by_code: Counts;
  /** Good requests in between, and those of them that got the right answer. */
  readonly good: number;
  readonly right: number;
  readonly megabytes: Levels;
  readonly descriptors: Levels;
  readonly failures: number;
  readonly well: boolean;
}

/** A quantity of each process, after the warm-up and at the end; empty where it cannot be read. */
export type Levels = Readonly<Record<string, readonly [before: number, after: number]>>;

/** Counts what was sent and what came back. */
export class Tally {
  readonly #mutations = new Map<string, number>();
  readonly #endings = new Map<string, number>();
  readonly #statuses = new Map<string, number>();
  readonly #codes = new Map<string, number>();
  sent = 0;

  count(
    kind: string,
    { ending, answers }: { ending: string; answers: readonly { status: number; body: string }[] },
  ): void {
    this.sent++;
    add(this.#mutations, kind);
    if (answers.length === 0) add(this.#endings, ending);
    for (const { status, body } of answers) {
      add(this.#statuses, String(status));
      const [, code] = /"code":"(\w+)"/.exec(status === 200 ? '' : body) ?? [];
      if (code !== undefined) add(this.#codes, code);
    }
  }

  summarize(): Pick<Summary, 'requests' | 'by_mutation' | 'unanswered' | 'by_status' | 'by_code'> {
    return {
      requests: this.sent,
      by_mutation: toCounts(this.#mutations),
      unanswered: toCounts(this.#endings),
      by_status: toCounts(this.#statuses),
      by_code: toCounts(this.#codes),
    };
  }
}

/** Returns the summary as a table for people. */
export function formatSummary(summary: Summary): string {
  const list = (counts: Counts) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const levels = (given: Levels, unit: string) =>
    Object.entries(given)
      .map(([name, [before, after]]) => `${name} ${before} → ${after}${unit}`)
      .join(', ') || 'not measured here';
  const rows: readonly (readonly [string, string])[] = [
    ['requests', `${summary.requests} in ${summary.seconds} s, seed ${summary.seed}`],
    ['by mutation', list(summary.by_mutation)],
    ['by status', list(summary.by_status)],
    ['by code', list(summary.by_code)],
    ['without an answer', list(summary.unanswered) || 'none'],
    ['good in between', `${summary.good}, right ${summary.right}`],
    ['memory', levels(summary.megabytes, ' MB')],
    ['descriptors', levels(summary.descriptors, '')],
    ['failures', String(summary.failures)],
    ['well afterwards', summary.well ? 'yes' : 'no'],
  ];
  return rows.map(([name, value]) => `${name.padEnd(18)} ${value}`).join('\n');
}

export function isPassed({ failures, good, right, well }: Summary): boolean {
  return failures === 0 && good === right && well;
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function toCounts(counts: ReadonlyMap<string, number>): Counts {
  return Object.fromEntries([...counts].toSorted(([, one], [, other]) => other - one));
}
