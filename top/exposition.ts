// Parses the text format of Prometheus.

export interface Family {
  type?: string;
  help?: string;
  readonly samples: Sample[];
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Parses what a process answers to a scrape. Returns its metrics by name; the parts of a histogram belong
 * to one.
 * @throws Error for a line that is not of the format
 */
export function parseMetrics(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, Family>();
  const familyOf = (name: string) => {
    const family = families.get(name) ?? { samples: [] };
    families.set(name, family);
    return family;
  };
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, kind, named = '', rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') familyOf(named).help = rest ?? '';
    else if (kind === 'TYPE') familyOf(named).type = rest ?? '';
    else {
      const sample = parseSample(line);
      const name = sample.name.replace(/_(bucket|sum|count)$/, '');
      familyOf(families.has(name) ? name : sample.name).samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string): Sample {
  const [, name, labels = '', value] = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (name === undefined) throw new Error(`Expected a sample; got ${line.slice(0, 200)}`);
  const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(
    ([, key, text]) => [key as string, unescapeText(text as string)] as const,
  );
  return { name, labels: Object.fromEntries(pairs), value: toNumber(value as string) };
}

function unescapeText(text: string): string {
  return text.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
}

function toNumber(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}
