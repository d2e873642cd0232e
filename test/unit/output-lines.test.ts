import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { logLines } from '../../worker/engine/python/output-lines.js';

test('a program that floods its output has fifty lines a second, and the next line counts the others', async () => {
  const logged: { line: string; leftOut?: number }[] = [];
  const log = pino({ base: null }, { write: (line) => void logged.push(JSON.parse(line)) });
  const stream = new Readable({ read() {} });
  const last = logLines(stream, log, { model: 'a' });
  const now = vi.spyOn(performance, 'now').mockReturnValue(5000);
  stream.push('flood\n'.repeat(70));
  await vi.waitUntil(() => logged.length > 0);
  now.mockReturnValue(6000);
  stream.push(`next\n${'x'.repeat(3000)}`);
  stream.push(null);
  await finished(stream);
  now.mockRestore();
  expect(logged.map(({ line }) => line.slice(0, 5))).toEqual([
    ...Array(50).fill('flood'),
    'next',
    'xxxxx',
  ]);
  expect(logged.flatMap(({ leftOut }) => leftOut ?? [])).toEqual([20]);
  expect(last()).toBe('x'.repeat(2000));
});
