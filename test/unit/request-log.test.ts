import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { DepartedRequest } from '../../api/events.js';
import { adviceFor } from '../../api/log/advice.js';
import { makeRequestLog } from '../../api/log/requests.js';
import { type ErrorCode, errorTable, ScorelineError } from '../../shared/errors.js';
import { requestFieldTable } from '../../shared/process/log-fields.js';

const secretText = 'the text of the client';

function makeScene(options: { accessRatio?: number; level?: string } = {}) {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  const log = pino({ level: options.level ?? 'info', base: null, timestamp: false }, { write });
  let draw = 0;
  const random = () => (draw++ % 100) / 100;
  const { departed } = makeRequestLog(log, { accessRatio: options.accessRatio ?? 0, random });
  const depart = (code: DepartedRequest['code'], more: Partial<DepartedRequest> = {}) =>
    departed({
      ...{
        method: 'POST',
        isGrpc: false,
        isProbe: () => false,
        arrivedAt: 0,
        context: undefined,
        route: 'native',
      },
      ...{ path: () => '/v1/models/a/score', pattern: undefined, status: 200, code },
      ...{ requestId: () => 'order-17', caller: undefined, call: undefined, models: undefined },
      ...{ failure: undefined, trace: undefined },
      ...more,
    });
  return { lines, depart };
}

const failed = (code: ErrorCode) => ({ failure: new ScorelineError(code, secretText) });

test('a good request has no line', () => {
  const { lines, depart } = makeScene();
  depart('ok');
  depart('not_ready');
  expect(lines).toEqual([]);
});

test('a share of good requests has one if asked for', () => {
  const { lines, depart } = makeScene({ accessRatio: 0.05 });
  for (let at = 0; at < 1000; at++) depart('ok');
  expect(lines).toHaveLength(50);
  expect(lines[0]).toMatchObject({ msg: 'answered', code: 'ok', requestId: 'order-17' });
});

describe('a request that fails', () => {
  test.each(Object.keys(errorTable) as ErrorCode[])(
    'with %s has one line, with what to do, in known fields',
    (code) => {
      const { lines, depart } = makeScene();
      depart(code, failed(code));
      expect(lines).toHaveLength(1);
      const [{ level, msg, ...fields } = {}] = lines;
      expect(fields).toMatchObject({ code, requestId: 'order-17', advice: expect.any(String) });
      const { status } = errorTable[code];
      expect(level).toBe(
        status === 500
          ? 50
          : (status === 429 || status > 500) && code !== 'shutting_down'
            ? 40
            : 30,
      );
      const known = new Set(Object.keys(requestFieldTable));
      expect(Object.keys(fields).filter((name) => !known.has(name))).toEqual([]);
      // The detail of a client's mistake quotes the client.
      if (status < 429) expect(JSON.stringify(lines)).not.toContain(secretText);
    },
  );

  test('names its trace', () => {
    const { lines, depart } = makeScene();
    const trace = { traceId: 'a', spanId: 'b' } as DepartedRequest['trace'];
    depart('overloaded', { ...failed('overloaded'), trace });
    expect(lines[0]).toMatchObject({ traceId: 'a', spanId: 'b' });
  });

  test('again and again does not flood the log, and hides no other', () => {
    const { lines, depart } = makeScene();
    for (let at = 0; at < 5000; at++) depart('overloaded', failed('overloaded'));
    depart('queue_lost', failed('queue_lost'));
    expect(lines.length).toBeLessThan(100);
    expect(lines.at(-1)).toMatchObject({ code: 'queue_lost' });
  });
});

test('each reason of a refusal has advice of its own', () => {
  expect(adviceFor('overloaded', 'queue_full')).toMatch(/workers/);
  expect(adviceFor('overloaded', 'bodies')).toMatch(/BODIES_BYTES_MAX/);
});
