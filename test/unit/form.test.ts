import { Dicer } from '@fastify/busboy';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseForm } from '../../api/http/body/form.js';

const inputsMax = 256;
const head = 'Content-Disposition: form-data; name="input"';

describe('a form of many parts', () => {
  const inMegabytes = (part: string) =>
    Buffer.from(`${part.repeat(4_000_000 / part.length)}\r\n--B--\r\n`);

  test.each([
    ['that have nothing', '\r\n--B\r\n\r\n\r\n', 'request_invalid'],
    ['that have no heads', '--B\r\n', 'request_invalid'],
    ['that have no names', '--B\r\nA: b\r\n\r\n\r\n', 'request_invalid'],
    ['that only look alike', '\r\n--BB', 'request_invalid'],
    ['that are well-formed', `--B\r\n${head}\r\n\r\n\r\n`, 'too_many_inputs'],
  ])('%s is refused before most of it is split', async (_what, part, code) => {
    const emit = vi.spyOn(Dicer.prototype, 'emit');
    onTestFinished(() => emit.mockRestore());
    await expect(parseForm(inMegabytes(part), 'B', inputsMax)).rejects.toMatchObject({ code });
    const parts = emit.mock.calls.filter(([event]) => String(event) === 'part');
    expect(parts.length).toBeLessThan(2 * inputsMax);
  });
});

/** Counts the turns of the event loop that others get while a form is read. */
async function countTurns(reading: Promise<unknown>): Promise<number> {
  let turns = 0;
  const count = () => {
    turns++;
    next = setImmediate(count);
  };
  let next = setImmediate(count);
  await reading;
  clearImmediate(next);
  return turns;
}

test.each([
  ['a large file', `--B\r\n${head}\r\n\r\n${'x'.repeat(4_000_000)}`],
  [
    'long heads',
    `--B\r\n${head}\r\nA: b${'\r\n '.repeat(25_000)}\r\n\r\nx\r\n`.repeat(50).trimEnd(),
  ],
])('a form with %s is read while others get their turn', async (_what, parts) => {
  const reading = parseForm(Buffer.from(`${parts}\r\n--B--\r\n`), 'B', inputsMax);
  expect(await countTurns(reading)).toBeGreaterThan(50);
  expect((await reading).inputs.length).toBeGreaterThan(0);
});

test('an epilogue may have delimiters', async () => {
  const form = `--B\r\n${head}\r\n\r\nhello\r\n--B--${'\r\n--B\r\n'.repeat(2 * inputsMax)}`;
  expect((await parseForm(Buffer.from(form), 'B', inputsMax)).inputs).toEqual(['hello']);
});
