// The pages name files; a file that is moved or removed takes its name in them along.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageDirectory } from '../../shared/version.js';

const root = packageDirectory();
const folders = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !/^(\.|node_modules$|dist$)/.test(entry.name))
  .map(({ name }) => name);

const pages = [
  'README.md',
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
];

/**
 * The files and folders of ours that a page names: the targets of its links, relative to the page,
 * and what stands in code and begins with a folder of ours. A name with a gap, such as
 * `models/<name>/model.yaml`, names no file.
 */
function pathsIn(page: string, text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)]
    .map(([, target]) => target as string)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => path.join(path.dirname(page), target));
  const begins = new RegExp(`(?<![\\w./@:-])(?:${folders.join('|')})/[\\w./-]*`, 'g');
  const code = [...text.matchAll(/`([^`\n]+)`/g), ...text.matchAll(/```[^\n]*\n([\s\S]*?)```/g)]
    .map(([, code]) => code as string)
    .filter((code) => !/[<>{}*…]/.test(code))
    .flatMap((code) => code.match(begins) ?? [])
    .map((name) => name.replace(/[.]+$/, ''));
  return [...new Set([...links, ...code])];
}

describe('the reader of pages', () => {
  test('finds links and code, and no names with gaps', () => {
    const text = [
      'See [design](design.md#why), [home](https://example.org/api/x), and [up](../README.md).',
      'Run `node dist/api/main.js`, read `api/call.ts` and `models/<name>/model.yaml`.',
      '`https://example.org/api/x` and `POST /v1/models/a/score` are no files.',
    ].join('\n');
    expect(pathsIn('docs/x.md', text)).toEqual(['docs/design.md', 'README.md', 'api/call.ts']);
  });
});

describe.each(pages)('%s', (page) => {
  test('names files that exist', () => {
    const named = pathsIn(page, readFileSync(path.join(root, page), 'utf8'));
    expect(named.filter((name) => !existsSync(path.join(root, name)))).toEqual([]);
  });
});
