// Prometheus and its promtool, where they are installed (Debian: apt install prometheus).

import { execFileSync, spawnSync } from 'node:child_process';

/** Whether the tests can run a program of Prometheus. Those that need it are skipped otherwise. */
export function isInstalled(program: 'prometheus' | 'promtool'): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

/** Says in the name of a test why it is skipped. */
export function needing(program: 'prometheus' | 'promtool'): string {
  return isInstalled(program) ? '' : ` (skipped: ${program} is not installed)`;
}

/** @throws Error with the output of promtool, if it finds a fault */
export function promtool(parameters: readonly string[], input = ''): string {
  return execFileSync('promtool', parameters, { input, encoding: 'utf8' });
}

interface Family {
  type?: string;
  help?: string;
  samples: Sample[];
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Parses the text format of Prometheus.
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
  if (name === undefined) throw new Error(`Expected a sample; got ${line}`);
  const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(
    ([, key, text]) => [key as string, text as string] as const,
  );
  return { name, labels: Object.fromEntries(pairs), value: Number(value) };
}
