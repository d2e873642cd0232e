import type { IncomingMessage } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import { readDeadlineAt, readDeadlineMs, readTop } from '../../api/http/parameters.js';
import { nowMs } from '../../shared/clock.js';
import { stopClock } from './clock.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const model = makeSampleModel({ deadlineMs: 20_000 });

/** A request of which only the headers count. */
const requestWith = (headers: Record<string, string> = {}) => ({ headers }) as IncomingMessage;

describe('top', () => {
  test('is what the manifest says where nothing is asked', () => {
    expect(readTop({}, model)).toBe(3);
  });

  test('is never more than there are classes, where nothing is asked', () => {
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
  test.each([...wrong, Number.NaN])('may not be %j, and the refusal says what may', (top) => {
    const error = errorOf(() => readTop({ top }, model));
    expect(error.code).toBe('parameter_invalid');
    expect(error.message).toBe(
      `Expected "top" to be a whole number from 1 to 5; got ${JSON.stringify(top)}.`,
    );
  });

  test.each([
    [['1', '2'], 'an array'],
    [{ a: 1 }, 'an object'],
  ])('may not be %j, of which the refusal says only the kind', (top, kind) => {
    expect(errorOf(() => readTop({ top }, model)).message).toContain(`got ${kind}.`);
  });

  test('is quoted in part only when it is long', () => {
    const { message } = errorOf(() => readTop({ top: 'x'.repeat(10_000) }, model));
    expect(message.length).toBeLessThan(200);
  });
});

describe('the deadline', () => {
  beforeEach(stopClock);

  const msUntil = (headers: Record<string, string>, given: Record<string, unknown>) =>
    readDeadlineAt(requestWith(headers), given, { deadlineMs: 20_000, arrivedAt: nowMs() }) -
    nowMs();

  test('is the model’s where nothing is asked', () => {
    expect(msUntil({}, {})).toBe(20_000);
  });

  test('may be earlier, in seconds by the header', () => {
    expect(msUntil({ 'request-timeout': '2' }, {})).toBe(2000);
    expect(msUntil({ 'request-timeout': '0.25' }, {})).toBe(250);
  });

  test('may be earlier, in milliseconds by the parameter', () => {
    expect(msUntil({}, { deadlineMs: 300 })).toBe(300);
    expect(msUntil({}, { deadlineMs: '300' })).toBe(300);
  });

  test('is the earlier one where both are asked', () => {
    expect(msUntil({ 'request-timeout': '2' }, { deadlineMs: 300 })).toBe(300);
    expect(msUntil({ 'request-timeout': '0.1' }, { deadlineMs: 300 })).toBe(100);
  });

  test('is never later than the model’s', () => {
    expect(msUntil({ 'request-timeout': '3600' }, {})).toBe(20_000);
    expect(msUntil({}, { deadlineMs: 1e300 })).toBe(20_000);
  });

  const wrong = ['0', '-1', 'soon', '', '1e3', 'Infinity', '1,5', '5s'];
  test.each(wrong)('may not be %j in the header, and the refusal says what may', (value) => {
    const error = errorOf(() => msUntil({ 'request-timeout': value }, {}));
    expect(error.code).toBe('deadline_invalid');
    expect(error.message).toBe(
      `Expected Request-Timeout to be a number of seconds above 0; got ${JSON.stringify(value)}.`,
    );
  });

  test.each([...wrong, 0, -5, null, false])(
    'may not be %j in the parameter, and the refusal says what may',
    (value) => {
      const error = errorOf(() => msUntil({}, { deadlineMs: value }));
      expect(error.code).toBe('deadline_invalid');
      expect(error.message).toBe(
        `Expected deadlineMs to be a number of milliseconds above 0; got ${JSON.stringify(value)}.`,
      );
    },
  );

  test('that is wrong is refused even where another is right', () => {
    const error = errorOf(() => msUntil({ 'request-timeout': '2' }, { deadlineMs: 'x' }));
    expect(error.code).toBe('deadline_invalid');
  });

  test('counts from the arrival of the request, not from when its headers are read', () => {
    const arrivedAt = nowMs() - 5000;
    const limits = { deadlineMs: 20_000, arrivedAt };
    expect(readDeadlineAt(requestWith(), {}, limits)).toBe(arrivedAt + 20_000);
    expect(readDeadlineAt(requestWith(), { deadlineMs: 70 }, limits)).toBe(arrivedAt + 70);
  });

  test('may be in a body, which says nothing where it has none', () => {
    expect(readDeadlineMs({ deadlineMs: 70 })).toBe(70);
    expect(readDeadlineMs({})).toBeUndefined();
    expect(errorOf(() => readDeadlineMs({ deadlineMs: [] })).code).toBe('deadline_invalid');
  });
});
