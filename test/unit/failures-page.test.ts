import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorTable } from '../../shared/errors.js';
import { countNames } from '../../shared/redis/keys.js';
import { packageDirectory } from '../../shared/version.js';
import { readSources } from './sources.js';

const page = readFileSync(path.join(packageDirectory(), 'docs/failures.md'), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| what happens'))
  .map((line) => line.split('|').map((cell) => cell.trim()));
const quoted = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, quote]) => quote ?? '');

describe('the page about failures', () => {
  test('quotes messages that are logged', () => {
    const code = readSources('api', 'worker', 'shared')
      .map(({ text }) => text)
      .join('\n');
    const messages = rows
      .flatMap((cells) => quoted(cells[3] ?? ''))
      .filter((text) => / /.test(text));
    expect(messages.length).toBeGreaterThan(15);
    for (const message of messages) expect(code, message).toContain(message);
  });

  test('names codes that exist', () => {
    const codes = rows
      .flatMap((cells) => quoted(cells[2] ?? ''))
      .filter((text) => /^[a-z]+_[a-z_]+$/.test(text));
    expect(codes.length).toBeGreaterThan(8);
    for (const code of codes) expect(Object.keys(errorTable)).toContain(code);
  });

  test('names every count', () => {
    for (const name of countNames) expect(page).toContain(`\`${name}\``);
  });
});
