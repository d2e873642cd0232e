// The fenced code blocks of a page.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { packageDirectory } from '../shared/version.js';

export interface Snippet {
  /** The page and the line of the code, such as `README.md:16`. */
  readonly place: string;
  /** Empty if the block has none. */
  readonly language: string;
  readonly code: string;
  /** The words after the language, such as `start` and `in=models/topics`. */
  readonly options: Readonly<Record<string, string>>;
}

/** Returns the pages for people, relative to the package. */
export function listPages(): string[] {
  const inDocs = readdirSync(path.join(packageDirectory(), 'docs'), {
    recursive: true,
    encoding: 'utf8',
  });
  const pages = inDocs.filter((name) => name.endsWith('.md'));
  return ['README.md', 'SECURITY.md', ...pages.map((name) => path.join('docs', name))];
}

/** Reads the blocks in their order. */
export function readSnippets(page: string): Snippet[] {
  const lines = readFileSync(path.join(packageDirectory(), page), 'utf8').split('\n');
  const snippets: Snippet[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, info] = /^```(.*)$/.exec(lines[at] as string) ?? [];
    if (info === undefined) continue;
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`${page}:${at + 1}: expected a closing fence; got none`);
    const [language = '', ...options] = info.split(' ');
    snippets.push({
      place: `${page}:${at + 2}`,
      language,
      code: lines.slice(at + 1, end).join('\n'),
      options: Object.fromEntries(options.map((option) => splitOption(option))),
    });
    at = end;
  }
  return snippets;
}

function splitOption(option: string): [string, string] {
  const [name = '', value = ''] = option.split('=');
  return [name, value];
}
