import { expect, test } from 'vitest';
import { toNumber, toNumbers } from '../../cli/numbers.js';

test.each([
  ['16', { min: 1, isWhole: true }, 16],
  ['0', { min: 0, max: 4, isWhole: true }, 0],
  ['.5', { min: 0.2, max: 60 }, 0.5],
])('%s is a number within %j', (text, bounds, number) => {
  expect(toNumber('tries', text, bounds)).toBe(number);
});

test.each(['', ' ', '16.0', '1e1', '0x10', '-1', '+1', '0', '9007199254740993'])(
  'the text "%s" is no count',
  (text) => {
    const message = `--tries: expected a whole number, 1 or more; got ${text || 'nothing'}`;
    expect(() => toNumber('tries', text, { min: 1, isWhole: true })).toThrow(message);
  },
);

test('a list of numbers has each once, from low to high', () => {
  expect(toNumbers('clients', '16, 4,16', { min: 1 })).toEqual([4, 16]);
  const message = '--clients: expected a number from 1 to 9, a limit; got nothing';
  expect(() => toNumbers('clients', '4,', { min: 1, max: 9, note: 'a limit' })).toThrow(message);
});
