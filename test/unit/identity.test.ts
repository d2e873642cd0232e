import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readIdempotencyKey } from '../../api/http/parameters/idempotency-key.js';
import { identify } from '../../api/repeat/identity.js';
import { errorOf } from './sample-model.js';

/** Makes a request that has the header once for each value. */
function requestWith(...values: string[]): IncomingMessage {
  const headersDistinct = values.length > 0 ? { 'idempotency-key': values } : {};
  const headers = values.length > 0 ? { 'idempotency-key': values.join(', ') } : {};
  return { headers, headersDistinct } as unknown as IncomingMessage;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('the Idempotency-Key', () => {
  test('is undefined without the header', () => {
    expect(readIdempotencyKey(requestWith())).toBeUndefined();
  });

  test.each([
    ['order-17', 'order-17'],
    ['"order-17"', 'order-17'],
    ['a', 'a'],
    ['two words, and a comma', 'two words, and a comma'],
    ['in"side', 'in"side'],
    ['x'.repeat(255), 'x'.repeat(255)],
    [`"${'x'.repeat(255)}"`, 'x'.repeat(255)],
  ])('may be %s', (given, key) => {
    expect(readIdempotencyKey(requestWith(given))).toBe(key);
  });

  test.each(['', '""', '"', '"open', 'open"', 'schön', 'tab\there', '\u007f', 'x'.repeat(256)])(
    'may not be %j',
    (given) => {
      const error = errorOf(() => readIdempotencyKey(requestWith(given)));
      expect(error.code).toBe('idempotency_key_invalid');
      expect(error.message).toContain('got ');
    },
  );

  test('is refused when it is set twice', () => {
    const error = errorOf(() => readIdempotencyKey(requestWith('a', 'b')));
    expect(error.code).toBe('idempotency_key_invalid');
    expect(error.message).toContain('got 2 of them');
  });
});

describe('the identity of a request', () => {
  const inputs = [{ value: 'hello' }, { value: Buffer.from([1, 2]) }];
  const request = { caller: 'key:one', queue: 'sample@1', top: 3, inputs };
  const one = identify('key', request);

  test('is the same for the same request, and has a UUID for each input', () => {
    expect(identify('key', { ...request, inputs: [...inputs] })).toEqual(one);
    expect(one.ids).toHaveLength(2);
    expect(new Set(one.ids).size).toBe(2);
    for (const id of one.ids) expect(id).toMatch(uuid);
  });

  test('differs in all but the fingerprint for another key', () => {
    const other = identify('kez', request);
    expect(other.fingerprint).toBe(one.fingerprint);
    expect(other.scope).not.toBe(one.scope);
    expect(other.ids.some((id) => one.ids.includes(id))).toBe(false);
  });

  test('differs in all but the fingerprint for another caller', () => {
    const other = identify('key', { ...request, caller: 'key:two' });
    expect(other.fingerprint).toBe(one.fingerprint);
    expect(other.scope).not.toBe(one.scope);
    expect(other.ids.some((id) => one.ids.includes(id))).toBe(false);
  });

  test('differs if the same characters are divided into caller and key differently', () => {
    const scopeOf = (caller: string, key: string) => identify(key, { ...request, caller }).scope;
    expect(scopeOf('key:a', 'b')).not.toBe(scopeOf('key:', 'ab'));
  });

  test('differs entirely for another model or version', () => {
    const other = identify('key', { ...request, queue: 'sample@2' });
    expect(other.scope).not.toBe(one.scope);
    expect(other.fingerprint).not.toBe(one.fingerprint);
    expect(other.ids.some((id) => one.ids.includes(id))).toBe(false);
  });

  test.each([
    ['another top', { ...request, top: 4 }],
    ['another input', { ...request, inputs: [{ value: 'hello!' }, inputs[1]] }],
    ['other bytes', { ...request, inputs: [inputs[0], { value: Buffer.from([1, 3]) }] }],
    ['another order', { ...request, inputs: inputs.toReversed() }],
    ['fewer inputs', { ...request, inputs: [inputs[0]] }],
  ])('differs in fingerprint and ids, but not in scope, for %s', (_what, changed) => {
    const other = identify('key', changed as typeof request);
    expect(other.scope).toBe(one.scope);
    expect(other.fingerprint).not.toBe(one.fingerprint);
    expect(other.ids.some((id) => one.ids.includes(id))).toBe(false);
  });

  test('differs if the same bytes are divided into inputs differently', () => {
    const texts = fc.array(fc.string({ unit: fc.constantFrom('1', ':', 'a', 'ä') }), {
      minLength: 1,
      maxLength: 4,
    });
    const fingerprintOf = (values: string[]) =>
      identify('key', { ...request, inputs: values.map((value) => ({ value })) }).fingerprint;
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        const areAlike = JSON.stringify(a) === JSON.stringify(b);
        expect(fingerprintOf(a) === fingerprintOf(b)).toBe(areAlike);
      }),
    );
    expect(fingerprintOf(['ab', 'c'])).not.toBe(fingerprintOf(['a', 'bc']));
  });
});
