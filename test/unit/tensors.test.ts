import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkTensor,
  countElements,
  type Datatype,
  datatypes,
  decodeStrings,
  elementBytes,
  encodeStrings,
  rowOffsets,
  type Tensor,
  toBuffer,
  toFloats,
} from '../../shared/tensors/tensors.js';
import { errorOf } from './sample-model.js';

const strings = fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 10 });
const fixedSizes = datatypes.filter((datatype) => elementBytes[datatype] !== undefined);

function makeTensor(datatype: Datatype, shape: number[], data: Uint8Array): Tensor {
  return { name: 'x', datatype, shape, data };
}

/** Copies bytes to an odd offset of a larger buffer, as in a packed reply. */
function unaligned(data: Uint8Array): Uint8Array {
  const memory = new Uint8Array(data.length + 9);
  memory.set(data, 3);
  return memory.subarray(3, 3 + data.length);
}

describe('strings', () => {
  test('survive encoding and decoding, at any offset in memory', () => {
    fc.assert(
      fc.property(strings, (texts) => {
        const data = encodeStrings(texts);
        expect(decodeStrings(data)).toEqual(texts);
        expect(decodeStrings(unaligned(data))).toEqual(texts);
      }),
    );
  });

  test('keep characters beyond the basic plane, NUL, line ends and emptiness', () => {
    const texts = ['', '😀👩‍👩‍👧', 'a\0b', '\n', '', '問\u{10FFFF}'];
    expect(decodeStrings(encodeStrings(texts))).toEqual(texts);
    expect(encodeStrings([])).toHaveLength(0);
    expect([...encodeStrings(['é'])]).toEqual([2, 0, 0, 0, 0xc3, 0xa9]);
  });

  test('with half a surrogate pair become valid UTF-8', () => {
    expect(decodeStrings(encodeStrings(['a\ud800b']))).toEqual(['a\ufffdb']);
  });

  test.each([
    ['a length that leads beyond the end', [5, 0, 0, 0, 97]],
    ['a length of four gigabytes', [255, 255, 255, 255, 97]],
    ['half a length', [1, 0, 0, 0, 97, 1, 0]],
    ['a length without its string', [1, 0, 0, 0]],
  ])('are refused with %s', (_what, bytes) => {
    const error = errorOf(() => decodeStrings(Uint8Array.from(bytes)));
    expect(error.code).toBe('tensor_invalid');
    expect(error.message).toMatch(/the length at byte \d leads beyond the end, at byte \d/);
  });

  test('are decoded or refused, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          expect(decodeStrings(bytes).length).toBeLessThanOrEqual(bytes.length / 4);
        } catch (error) {
          expect(error).toMatchObject({ code: 'tensor_invalid' });
        }
      }),
    );
  });
});

describe('a tensor', () => {
  const shape = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 });

  test('of every datatype is valid only with exactly the bytes of its shape', () => {
    fc.assert(
      fc.property(fc.constantFrom(...fixedSizes), shape, fc.integer(), (datatype, sizes, off) => {
        const bytes = countElements(sizes) * (elementBytes[datatype] as number);
        checkTensor(makeTensor(datatype, sizes, new Uint8Array(bytes)));
        const wrong = Math.max(0, bytes + (off % 16));
        if (wrong === bytes) return;
        const error = errorOf(() =>
          checkTensor(makeTensor(datatype, sizes, new Uint8Array(wrong))),
        );
        expect(error.code).toBe('tensor_invalid');
        expect(error.message).toContain(`Expected ${bytes} bytes in the tensor "x", ${datatype}`);
        expect(error.message).toContain(`got ${wrong}.`);
      }),
    );
  });

  test('of strings is valid only with as many strings as its shape says', () => {
    fc.assert(
      fc.property(strings, (texts) => {
        const data = encodeStrings(texts);
        checkTensor(makeTensor('BYTES', [texts.length], data));
        checkTensor(makeTensor('BYTES', [1, texts.length, 1], data));
        const shape = [texts.length + 1];
        const error = errorOf(() => checkTensor(makeTensor('BYTES', shape, data)));
        expect(error.message).toMatch(`Expected ${texts.length + 1} strings`);
        expect(error.message).toMatch(`got ${texts.length}.`);
      }),
    );
  });

  test('without dimensions has one element', () => {
    expect(countElements([])).toBe(1);
    checkTensor(makeTensor('INT64', [], new Uint8Array(8)));
    checkTensor(makeTensor('BYTES', [], encodeStrings(['a'])));
  });

  test('of more elements than fit into memory is refused', () => {
    const shape = [2 ** 31, 2 ** 31, 2 ** 31];
    const error = errorOf(() => checkTensor(makeTensor('FP64', shape, new Uint8Array(8))));
    expect(error.code).toBe('tensor_invalid');
  });

  test('has a known element size, except for strings', () => {
    expect(datatypes.filter((datatype) => elementBytes[datatype] === undefined)).toEqual(['BYTES']);
    expect(Object.keys(elementBytes).toSorted()).toEqual([...datatypes].toSorted());
  });
});

describe('the offsets of rows', () => {
  test('cut a tensor of numbers into equal parts', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...fixedSizes),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 6 }),
        (datatype, rows, width) => {
          const rowBytes = width * (elementBytes[datatype] as number);
          const tensor = makeTensor(datatype, [rows, width], new Uint8Array(rows * rowBytes));
          const expected = Array.from({ length: rows + 1 }, (_, row) => row * rowBytes);
          expect(rowOffsets(tensor, rows)).toEqual(expected);
        },
      ),
    );
  });

  test('cut a tensor of strings into parts that hold its strings in order', () => {
    const matrix = fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 4 }))
      .chain(([rows, width]) =>
        fc.array(fc.array(fc.string({ unit: 'binary' }), { minLength: width, maxLength: width }), {
          minLength: rows,
          maxLength: rows,
        }),
      );
    fc.assert(
      fc.property(matrix, (rows) => {
        const data = encodeStrings(rows.flat());
        const tensor = makeTensor('BYTES', [rows.length, rows[0]?.length ?? 0], data);
        const offsets = rowOffsets(tensor, rows.length);
        expect(offsets.at(-1)).toBe(data.length);
        const parts = rows.map((_, row) => data.subarray(offsets[row], offsets[row + 1]));
        expect(parts.map((part) => decodeStrings(part))).toEqual(
          rows.map((row) => decodeStrings(encodeStrings(row))),
        );
      }),
    );
  });
});

test('floats are the same from aligned and unaligned memory', () => {
  const floats = Float32Array.of(1.5, -0, 3e38, Number.NaN);
  const data = new Uint8Array(floats.buffer);
  expect(toFloats(makeTensor('FP32', [4], data))).toEqual(floats);
  expect(toFloats(makeTensor('FP32', [4], data)).buffer).toBe(floats.buffer);
  expect(toFloats(makeTensor('FP32', [4], unaligned(data)))).toEqual(floats);
});

test('floats of half and double precision are converted to single precision', () => {
  const halves = Uint16Array.of(0, 0x8000, 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x83ff, 0x0400);
  const numbers = [0, -0, 1, -2, 0.333251953125, 65504, 2 ** -24, -1023 * 2 ** -24, 2 ** -14];
  const half = (bits: Uint16Array) =>
    toFloats(makeTensor('FP16', [bits.length], unaligned(new Uint8Array(bits.buffer))));
  expect([...half(halves)]).toEqual(numbers);
  expect([...half(Uint16Array.of(0x7c00, 0xfc00, 0x7e00))]).toEqual([
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ]);
  const doubles = Float64Array.of(1.5, -0, 1e300, Number.NaN);
  const data = unaligned(new Uint8Array(doubles.buffer));
  expect(toFloats(makeTensor('FP64', [4], data))).toEqual(Float32Array.from(doubles));
});

test('a Buffer of a tensor’s data shares its memory', () => {
  const data = unaligned(Uint8Array.of(1, 2, 3));
  const buffer = toBuffer(data);
  buffer[1] = 9;
  expect([...data]).toEqual([1, 9, 3]);
  expect(toBuffer(buffer)).toBe(buffer);
});
