import { describe, expect, test } from 'vitest';
import { coerceError, errorTable, ScorelineError } from '../../shared/errors.js';
import { readSources } from './sources.js';

const codes = Object.keys(errorTable);

/** Finds every `new ScorelineError('code'` in the source, even across line breaks. */
const thrown = readSources('api', 'worker', 'shared', 'cli').flatMap(({ file, text }) =>
  [...text.matchAll(/new ScorelineError\(\s*(['"`])(\w+)\1/g)].map((match) => ({
    file,
    code: match[2] as string,
  })),
);

describe('the table of errors', () => {
  test.each(Object.entries(errorTable))('says status and title of %s', (code, row) => {
    expect(code).toMatch(/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
    expect(Number.isInteger(row.status)).toBe(true);
    expect(row.status).toBeGreaterThanOrEqual(400);
    expect(row.status).toBeLessThan(600);
    expect(row.title).toMatch(/^[A-Z].*[^.!\s]$/);
  });

  test('recommends a retry only where one may help', () => {
    for (const { status, retry, title } of Object.values(errorTable)) {
      if (retry) expect([408, 429, 500, 503, 504], title).toContain(status);
      if ([429, 503, 504].includes(status)) expect(retry, title).toBe(true);
    }
  });

  test('has a different title for each code', () => {
    expect(new Set(Object.values(errorTable).map(({ title }) => title)).size).toBe(codes.length);
  });

  test('contains every code that is thrown', () => {
    expect(thrown.length).toBeGreaterThan(30);
    expect(thrown.filter(({ code }) => !codes.includes(code))).toEqual([]);
  });
});

describe('a ScorelineError', () => {
  test('carries its code, detail, cause and retry time', () => {
    const cause = new Error('inside');
    const error = new ScorelineError('overloaded', 'Full.', { cause, retryAfterSeconds: 3 });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'ScorelineError',
      code: 'overloaded',
      message: 'Full.',
      retryAfterSeconds: 3,
      cause,
    });
  });
});

test('any thrown value becomes an Error, and an Error stays as it is', () => {
  const error = new TypeError('x');
  expect(coerceError(error)).toBe(error);
  expect(coerceError('text').message).toBe('text');
  expect(coerceError(undefined).message).toBe('undefined');
  expect(coerceError(null)).toBeInstanceOf(Error);
});
