// The pages name files. This test fails if a file is moved or removed and a page still names it.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageDirectory } from '../../shared/version.js';
import { listPages } from '../snippets.js';

const root = packageDirectory();
const folders = readdirSync(root, { withFileTypes: true })
  .filter(
    (entry) => entry.isDirectory() && !/^(\.|node_modules$|dist$|data$|coverage$)/.test(entry.name),
  )
  .map(({ name }) => name);

/**
 * Returns the repository's files and folders that a page names: the targets of its links, relative
 * to the page, and code that begins with a folder of the repository. A name with a placeholder, such
 * as `models/<name>/model.yaml`, is left out.
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
  test('finds names in links and in code, but none with placeholders', () => {
    const text = [
      'See [design](design.md#why), [home](https://example.org/api/x), and [up](../README.md).',
      'Run `node dist/api/main.js`, read `api/scoring.ts` and `models/<name>/model.yaml`.',
      '`https://example.org/api/x` and `POST /v1/models/a/score` are no files.',
    ].join('\n');
    expect(pathsIn('docs/x.md', text)).toEqual(['docs/design.md', 'README.md', 'api/scoring.ts']);
  });
});

describe.each(listPages())('%s', (page) => {
  test('finds only files that exist', () => {
    const named = pathsIn(page, readFileSync(path.join(root, page), 'utf8'));
    expect(named.filter((name) => !existsSync(path.join(root, name)))).toEqual([]);
  });
});
