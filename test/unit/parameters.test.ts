import type { IncomingMessage } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  readDeadlineAt,
  readDeadlineMs,
  readTop,
  withQuery,
} from '../../api/http/parameters/parameters.js';
import { nowMs } from '../../shared/clock.js';
import { stopClock } from './clock.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const model = makeSampleModel({ deadlineMs: 20_000 });

/** Makes a request with these headers. */
const requestWith = (headers: Record<string, string> = {}) => ({ headers }) as IncomingMessage;

describe('parameters of a body and of a query', () => {
  test('count from the body if both have one', () => {
    expect(withQuery({ top: 1 }, { top: '2', deadlineMs: '3' })).toEqual({
      top: 1,
      deadlineMs: '3',
    });
    expect(withQuery({ deadlineMs: null }, { deadlineMs: '3' })).toEqual({ deadlineMs: null });
  });

  test('are read without looking at the other fields of the body', () => {
    const body = new Proxy(
      { top: 1 },
      {
        ownKeys: () => {
          throw new Error('Expected nobody to list the fields.');
        },
      },
    );
    expect(withQuery(body, {}).top).toBe(1);
  });
});

describe('top', () => {
  test('is the manifest’s number without a parameter', () => {
    expect(readTop({}, model)).toBe(3);
  });

  test('is never more than the number of classes, without a parameter', () => {
    const output = { kind: 'classification', labels: 'labels.txt', top: 50 };
    expect(readTop({}, makeSampleModel({ output }))).toBe(5);
  });

  test.each([
    [1, 1],
    [5, 5],
    ['2', 2],
    [' 4 ', 4],
  ])('may be %j', (given, expected) => {
    expect(readTop({ top: given }, model)).toBe(expected);
  });

  const wrong = [0, -1, 6, 1.5, '0', '6', '1.5', '-1', '1e0', '0x2', 'all', '', ' ', null, true];
  test.each([...wrong, Number.NaN, Number.POSITIVE_INFINITY])(
    'may not be %s, and the error says what it may be',
    (top) => {
      const error = errorOf(() => readTop({ top }, model));
      expect(error.code).toBe('parameter_invalid');
      expect(error.message).toBe(
        `Expected "top" to be a whole number from 1 to 5; got ${typeof top === 'string' ? `"${top}"` : top}.`,
      );
    },
  );

  test.each([
    [['1', '2'], 'a list'],
    [{ a: 1 }, 'an object'],
  ])('may not be %j, and the error names only its type', (top, kind) => {
    expect(errorOf(() => readTop({ top }, model)).message).toContain(`got ${kind}.`);
  });

  test('is cut in the error if it is long', () => {
    const { message } = errorOf(() => readTop({ top: 'x'.repeat(10_000) }, model));
    expect(message.length).toBeLessThan(200);
  });
});

describe('the deadline', () => {
  beforeEach(stopClock);

  const msUntil = (headers: Record<string, string>, given: Record<string, unknown>) =>
    readDeadlineAt(requestWith(headers), given, { deadlineMs: 20_000, arrivedAt: nowMs() }) -
    nowMs();

  test('is the model’s without a parameter', () => {
    expect(msUntil({}, {})).toBe(20_000);
  });

  test('can be made earlier by the header, in seconds', () => {
    expect(msUntil({ 'request-timeout': '2' }, {})).toBe(2000);
    expect(msUntil({ 'request-timeout': '0.25' }, {})).toBe(250);
  });

  test('can be made earlier by the parameter, in milliseconds', () => {
    expect(msUntil({}, { deadlineMs: 300 })).toBe(300);
    expect(msUntil({}, { deadlineMs: '300' })).toBe(300);
  });

  test('is the earlier one if header and parameter differ', () => {
    expect(msUntil({ 'request-timeout': '2' }, { deadlineMs: 300 })).toBe(300);
    expect(msUntil({ 'request-timeout': '0.1' }, { deadlineMs: 300 })).toBe(100);
  });

  test('is never later than the model’s own', () => {
    expect(msUntil({ 'request-timeout': '3600' }, {})).toBe(20_000);
    expect(msUntil({}, { deadlineMs: 1e300 })).toBe(20_000);
    expect(msUntil({}, { deadlineMs: '1e+300' })).toBe(20_000);
  });

  const wrong = ['0', '-1', 'soon', '', '1e', 'Infinity', '1,5', '5s'];
  test.each(wrong)('may not be %j in the header, and the error says what it may be', (value) => {
    const error = errorOf(() => msUntil({ 'request-timeout': value }, {}));
    expect(error.code).toBe('deadline_invalid');
    expect(error.message).toBe(
      `Expected Request-Timeout to be a number of seconds above 0; got ${JSON.stringify(value)}.`,
    );
  });

  test.each([...wrong, 0, -5, null, false])(
    'may not be %j in the parameter, and the error says what it may be',
    (value) => {
      const error = errorOf(() => msUntil({}, { deadlineMs: value }));
      expect(error.code).toBe('deadline_invalid');
      expect(error.message).toBe(
        `Expected deadlineMs to be a number of milliseconds above 0; got ${JSON.stringify(value)}.`,
      );
    },
  );

  test('is refused if it is invalid in one place and valid in another', () => {
    const error = errorOf(() => msUntil({ 'request-timeout': '2' }, { deadlineMs: 'x' }));
    expect(error.code).toBe('deadline_invalid');
  });

  test('counts from the arrival of the request, not from reading its headers', () => {
    const arrivedAt = nowMs() - 5000;
    const limits = { deadlineMs: 20_000, arrivedAt };
    expect(readDeadlineAt(requestWith(), {}, limits)).toBe(arrivedAt + 20_000);
    expect(readDeadlineAt(requestWith(), { deadlineMs: 70 }, limits)).toBe(arrivedAt + 70);
  });

  test('can be read from a body, and is undefined without one', () => {
    expect(readDeadlineMs({ deadlineMs: 70 })).toBe(70);
    expect(readDeadlineMs({})).toBeUndefined();
    expect(errorOf(() => readDeadlineMs({ deadlineMs: [] })).code).toBe('deadline_invalid');
  });
});
