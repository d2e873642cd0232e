import { expect, test } from 'vitest';
import { readFreshness } from '../../api/cache/freshness.js';

test.each([
  ['no-cache', { ageMsMax: 0, isKept: true }],
  ['No-Cache', { ageMsMax: 0, isKept: true }],
  ['no-store', { ageMsMax: 0, isKept: false }],
  ['no-cache, no-store', { ageMsMax: 0, isKept: false }],
  ['max-age=60', { ageMsMax: 60_000, isKept: true }],
  ['max-stale, max-age="5"', { ageMsMax: 5000, isKept: true }],
  ['max-age=0', { ageMsMax: 0, isKept: true }],
  ['max-age=soon', { ageMsMax: 0, isKept: true }],
  ['max-age', { ageMsMax: 0, isKept: true }],
])('"%s" limits which cached answers are taken', (header, freshness) => {
  expect(readFreshness(header)).toEqual(freshness);
});

test.each([undefined, '', 'no-transform', 'only-if-cached', 'private="no-cache"'])(
  '"%s" says nothing about cached answers',
  (header) => {
    expect(readFreshness(header)).toBeUndefined();
  },
);
