// Which files are chapters, in which order, and how they are named. A chapter that no group names comes last.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Chapter {
  /** The last part of its address; `index` for the first chapter, which is at the address of all. */
  readonly name: string;
  /** Its file, relative to the folder of the package. */
  readonly source: string;
  readonly text: string;
  readonly title: string;
}

export interface Group {
  readonly title: string;
  readonly chapters: readonly Chapter[];
}

/** The names of chapters whose files are not in `docs`. */
const elsewhere: Readonly<Record<string, string>> = {
  index: 'README.md',
  reporting: 'SECURITY.md',
  changes: 'CHANGELOG.md',
};

const order: readonly (readonly [title: string, names: readonly string[]])[] = [
  ['Start', ['index', 'playground']],
  ['Ask', ['bulk', 'jobs', 'webhooks', 'repeating', 'priorities', 'cache', 'clients']],
  ['Contracts', ['openapi', 'inference-protocol', 'errors']],
  [
    'Models',
    [
      ...['your-model', 'migrating', 'models', 'manifest', 'exporters', 'python', 'versions'],
      ...['optimizing', 'faq'],
    ],
  ],
  ['Run', ['docker', 'kubernetes', 'aks', 'configuration', 'scaling', 'simulation']],
  ['Watch', ['monitoring', 'metrics', 'telemetry', 'failures', 'chaos']],
  ['Protect', ['access', 'security', 'reporting', 'supply-chain', 'licences']],
  ['Inside', ['design', 'benchmarks', 'changes']],
];

/** Reads the chapters of the package in this folder. */
export function readChapters(root: string): Group[] {
  const found = readdirSync(path.join(root, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => file.replace(/\.md$/, ''));
  const named = new Set(order.flatMap(([, names]) => names));
  const others = found.filter((name) => !named.has(name));
  const all = [...order, ['More', others] as const];
  return all
    .map(([title, names]) => ({ title, chapters: names.map((name) => readChapter(root, name)) }))
    .filter(({ chapters }) => chapters.length > 0);
}

function readChapter(root: string, name: string): Chapter {
  const source = elsewhere[name] ?? `docs/${name}.md`;
  const text = readFileSync(path.join(root, source), 'utf8');
  const [, heading = name] = /^# (.+)$/m.exec(text) ?? [];
  return { name, source, text, title: name === 'index' ? 'Overview' : heading };
}
