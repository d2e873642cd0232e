import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseInferJson } from '../../api/inference/exact-json.js';
import { listAhead, toJson } from '../../api/inference/json-tensor.js';
import { parseExactly } from '../../shared/exact-json.js';
import { fromJson } from '../../shared/tensors/json-elements.js';
import {
  countElements,
  type Datatype,
  datatypes,
  elementBytes,
  encodeStrings,
} from '../../shared/tensors/tensors.js';
import { errorOf } from './sample-model.js';

const head = (datatype: Datatype, shape: number[]) => ({ name: 'x', datatype, shape });
const nest = (flat: readonly unknown[], [size = 0, ...inner]: readonly number[]): unknown => {
  if (inner.length === 0) return flat;
  const stride = countElements(inner);
  return Array.from({ length: size }, (_, at) =>
    nest(flat.slice(at * stride, (at + 1) * stride), inner),
  );
};

const waiting = { hasDeparted: false };

describe('a tensor in JSON', () => {
  test('is refused if it holds bytes that are no text, and not written as other letters', () => {
    const data = Uint8Array.of(1, 0, 0, 0, 97, 1, 0, 0, 0, 255);
    expect(errorOf(() => toJson('BYTES', data))).toMatchObject({
      code: 'tensor_invalid',
      message: expect.stringContaining('binary_data: true'),
    });
    expect(toJson('BYTES', encodeStrings(['\ufffd']))).toBe('"\ufffd"');
  });

  test('is written ahead in turn with others, the shortest first, a slice between two turns of the event loop', async () => {
    // The first is long, and the last one short.
    const counts = [1_000_000, ...new Array<number>(6).fill(100_000), 50_000];
    const written: number[] = [];
    let turns = 0;
    let isDone = false;
    const turn = () => {
      turns++;
      if (!isDone) setImmediate(turn);
    };
    setImmediate(turn);
    const write = async (count: number) => {
      await listAhead(waiting, [{ ...head('INT32', [count]), data: new Uint8Array(4 * count) }]);
      written.push(count);
    };
    await Promise.all(counts.map(write));
    isDone = true;
    // A slice has 16384 numbers.
    const sum = counts.reduce((total, count) => total + count, 0);
    expect(turns).toBeGreaterThan(sum / 16_384 - counts.length);
    expect(written).toEqual(counts.toReversed());
  });

  test('is not written on for a client that is gone, and others do not wait for that', async () => {
    const long = { ...head('INT32', [1_000_000]), data: new Uint8Array(4_000_000) };
    const call = { hasDeparted: false };
    let turns = 0;
    setImmediate(() => {
      turns++;
      call.hasDeparted = true;
    });
    await expect(listAhead(call, [long])).rejects.toMatchObject({ code: 'client_closed' });
    expect(turns).toBe(1);
    const short = { ...head('INT32', [900_000]), data: new Uint8Array(3_600_000) };
    await listAhead(waiting, [short]);
    expect(toJson('INT32', short.data)).toHaveLength(2 * 900_000 - 1);
  });

  test.each(datatypes)('is written ahead as it is written at once: %s', async (datatype) => {
    const count = 100_003;
    const size = elementBytes[datatype];
    const data =
      size === undefined
        ? encodeStrings(Array.from({ length: count }, String))
        : Uint8Array.from({ length: count * size }, (_, at) =>
            datatype === 'BOOL' ? at % 2 : (at * 2_654_435_761) >>> 24,
          );
    const atOnce = toJson(datatype, data);
    await listAhead(waiting, [{ ...head(datatype, [count]), data }]);
    expect(toJson(datatype, data) === atOnce).toBe(true);
  });

  test.each(datatypes)('comes back bit by bit, flat and nested: %s', (datatype) => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(shapes, fc.infiniteStream(fc.integer({ min: 0, max: 255 })), (shape, stream) => {
        const count = countElements(shape);
        const random = () => stream.next().value;
        const size = elementBytes[datatype];
        const data =
          size === undefined
            ? encodeStrings(Array.from({ length: count }, () => '"\u00e4\n'.repeat(random() % 4)))
            : Uint8Array.from({ length: count * size }, () =>
                datatype === 'BOOL' ? random() % 2 : random(),
              );
        const flat = parseExactly(`[${toJson(datatype, data)}]`) as unknown[];
        const canonical = Uint8Array.from(fromJson(head(datatype, shape), flat));
        // All NaN become the same one.
        expect(toJson(datatype, canonical)).toBe(toJson(datatype, data));
        if (!toJson(datatype, data).includes('NaN'))
          expect(canonical).toEqual(Uint8Array.from(data));
        expect(Uint8Array.from(fromJson(head(datatype, shape), nest(flat, shape)))).toEqual(
          canonical,
        );
      }),
      { numRuns: 100 },
    );
  });

  test('may be unaligned in memory when it is written', () => {
    const memory = new Uint8Array(9);
    memory.set(new Uint8Array(Float32Array.of(1, 2).buffer), 1);
    expect(toJson('FP32', memory.subarray(1))).toBe('1,2');
  });

  test('can be a scalar, or have no elements', () => {
    expect(fromJson(head('INT8', []), 5)).toEqual(Uint8Array.of(5));
    expect(fromJson(head('INT8', []), [5])).toEqual(Uint8Array.of(5));
    expect(fromJson(head('INT8', [2, 0]), [])).toEqual(new Uint8Array());
    expect(fromJson(head('INT8', [2, 0]), [[], []])).toEqual(new Uint8Array());
  });

  test('has whole numbers beyond 2^53 in quotes, exactly', () => {
    const data = fromJson(head('INT64', [2]), ['9007199254740993', '-9223372036854775808']);
    expect(new BigInt64Array(data.buffer as ArrayBuffer)).toEqual(
      BigInt64Array.of(9007199254740993n, -9223372036854775808n),
    );
    expect(toJson('INT64', data)).toBe('9007199254740993,-9223372036854775808');
  });

  test.each<[text: string, expected: unknown]>([
    ['[1,2]', [1, 2]],
    ['[9007199254740993, -9007199254740993]', ['9007199254740993', '-9007199254740993']],
    ['[9007199254740993,9007199254740993\n]', ['9007199254740993', '9007199254740993']],
    ['{"a":9007199254740993}', { a: '9007199254740993' }],
    ['[0.1234567890123456789,1e1234567890123456,5]', [0.12345678901234568, Infinity, 5]],
    ['[9007199254740993,1.5,12345678901234567e-3]', ['9007199254740993', 1.5, 12345678901234.566]],
    [
      String.raw`["\\", 9007199254740993 ,"\"",9007199254740993]`,
      ['\\', '9007199254740993', '"', '9007199254740993'],
    ],
    ['["a, 9007199254740993 ",9007199254740993]', ['a, 9007199254740993 ', '9007199254740993']],
  ])('is parsed without rounding long whole numbers: %s', (text, expected) => {
    expect(parseExactly(text)).toEqual(expected);
  });

  test.each(['BYTES', 'FP64', 'INT32', 'UINT64'])(
    'is text instead of a long number only in tensors of 64-bit whole numbers: %s',
    (datatype) => {
      const long = '12345678901234567890';
      const other = `"id":${long},"parameters":{"timeout":${long}}`;
      const text = `{${other},"inputs":[{"datatype":"${datatype}","data":[${long}]}]}`;
      expect(parseInferJson(text)).toEqual({
        ...{ id: Number(long), parameters: { timeout: Number(long) } },
        inputs: [{ datatype, data: [datatype === 'UINT64' ? long : Number(long)] }],
      });
      expect(parseInferJson(`[${long}, {"inputs": ${long}}]`)).toEqual([
        Number(long),
        { inputs: Number(long) },
      ]);
    },
  );

  test('of floats may have long whole numbers', () => {
    expect(fromJson(head('FP64', [1]), ['12345678901234567890'])).toEqual(
      fromJson(head('FP64', [1]), [Number('12345678901234567890')]),
    );
    const error = errorOf(() => fromJson(head('FP16', [1]), ['12345678901234567890']));
    expect(error.code).toBe('tensor_invalid');
  });

  test.each<[Datatype, unknown, string]>([
    ['BOOL', 2, 'true or false; got 2'],
    ['UINT8', 256, 'from 0 to 255; got 256'],
    ['UINT8', -1, 'got -1'],
    ['UINT8', 1.5, 'got 1.5'],
    ['UINT8', '1', 'got "1"'],
    ['UINT8', true, 'got true'],
    ['UINT16', 65_536, 'got 65536'],
    ['UINT32', 4_294_967_296, 'got 4294967296'],
    ['UINT64', 2 ** 53, 'written as digits alone; got 9007199254740992'],
    ['UINT64', '18446744073709551616', 'got "18446744073709551616"'],
    ['UINT64', -1, 'got -1'],
    ['INT8', -129, 'got -129'],
    ['INT16', 32_768, 'got 32768'],
    ['INT32', 2_147_483_648, 'got 2147483648'],
    ['INT64', '9223372036854775808', 'got "9223372036854775808"'],
    ['INT64', '1e3', 'got "1e3"'],
    ['INT64', '9'.repeat(1000), `got "${'9'.repeat(60)}…"`],
    ['FP16', 65_520, 'a number up to ±65504, or "NaN"'],
    ['FP16', -1e9, 'got -1000000000'],
    ['FP32', 3.5e38, 'got 3.5e+38'],
    ['FP32', null, 'got null'],
    ['FP32', 'nan', 'got "nan"'],
    ['FP32', 'toString', 'got "toString"'],
    ['FP64', {}, 'got an object'],
    ['BYTES', 5, 'to be a string of Unicode characters; got 5'],
    ['BYTES', null, 'got null'],
  ])('of %s may not have the element %s', (datatype, value, words) => {
    const right = datatype === 'BYTES' ? 'a' : 1;
    const error = errorOf(() => fromJson(head(datatype, [2]), [right, value]));
    expect(error.code).toBe('tensor_invalid');
    expect(error.message).toContain(words);
    expect(error.message).toContain(' at index 1.');
  });

  test.each<[number[], unknown, string]>([
    [[2, 2], [1, 2, 3], 'Expected 4 elements in "x", INT8 of shape [2,2], flat or nested; got 3'],
    [[2, 2], [[1, 2, 3], [4]], 'got a list of 3 at depth 1'],
    [[2, 2], [[1, 2], 3], 'got 3 at depth 1'],
    [
      [4],
      [
        [1, 2],
        [3, 4],
      ],
      'got a list of 2 at depth 0',
    ],
    [[2], [[1], [2]], 'to be a whole number from -128 to 127; got a list at index 0'],
    [[2], 'ab', 'Expected a list as the data of "x"; got "ab"'],
    [[2], undefined, 'got nothing'],
    [[], { a: 1 }, 'got an object'],
    [[2 ** 31 - 1], [1], 'Expected 2147483647 elements'],
  ])('of shape %j may not be %j', (shape, data, words) => {
    const error = errorOf(() => fromJson(head('INT8', shape), data));
    expect(error.code).toBe('tensor_invalid');
    expect(error.message).toContain(words);
  });
});
