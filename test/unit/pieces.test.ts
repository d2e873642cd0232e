import { expect, test } from 'vitest';
import { Pieces } from '../../api/http/body/pieces.js';

test.each([
  ['each byte by itself', 300_000, () => 1],
  ['large pieces', 5_000_000, () => 65_536],
  ['a large piece after many small ones', 3_000_000, (at: number) => (at % 300 === 0 ? 8000 : 1)],
])('the bytes are those that came: %s', (_what, bytes, lengthAt) => {
  const sent = Buffer.alloc(bytes, 'abcdefg');
  const pieces = new Pieces();
  let at = 0;
  let isCounted = true;
  for (let count = 0; at < bytes; count++) {
    const piece = Buffer.from(sent.subarray(at, at + lengthAt(count)));
    pieces.add(piece);
    at += piece.length;
    // An expectation for each byte would take most of the test's time.
    isCounted &&= pieces.bytes === at;
  }
  expect(isCounted).toBe(true);
  expect(pieces.take().equals(sent)).toBe(true);
  expect([pieces.bytes, pieces.take().length]).toEqual([0, 0]);
});

test('one piece is handed on as it is', () => {
  const pieces = new Pieces();
  const only = Buffer.from('only');
  pieces.add(only);
  expect(pieces.take()).toBe(only);
});
