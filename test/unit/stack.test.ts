import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../shared/manifest.js';
import { bytesOfItem, makeStack, sampleInput } from '../../worker/batch/kinds.js';
import { makeSampleModel } from './sample-model.js';

const mean = [0.485, 0.456, 0.406];
const std = [0.229, 0.224, 0.225];

const inputOf = (input: Record<string, unknown>): Manifest['input'] =>
  makeSampleModel({ input }).manifest.input;

const imageInput = (size: { width: number; height: number }, tensor: string) =>
  inputOf({
    kind: 'image',
    ...size,
    tensor,
    ...(tensor === 'float32-nchw' && { mean, std }),
  });

const pictures = fc
  .record({ width: fc.integer({ min: 1, max: 4 }), height: fc.integer({ min: 1, max: 4 }) })
  .chain((size) => {
    const length = 3 * size.width * size.height;
    return fc.record({
      size: fc.constant(size),
      items: fc.array(
        fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => ({ bytes })),
        { minLength: 1, maxLength: 3 },
      ),
    });
  });

describe('a batch of texts', () => {
  const items = [{ text: 'a' }, { text: 'ü' }];

  test('is a list of strings for a model whose input has one dimension', () => {
    const stack = makeStack(inputOf({ kind: 'text' }), 1);
    expect(stack(items)).toEqual({ type: 'string', dims: [2], data: ['a', 'ü'] });
  });

  test('is a column of strings for a model whose input has two', () => {
    const stack = makeStack(inputOf({ kind: 'text' }), 2);
    expect(stack(items)).toEqual({ type: 'string', dims: [2, 1], data: ['a', 'ü'] });
  });
});

describe('a batch of pictures', () => {
  test('as uint8-nhwc is [N, height, width, 3], the pixels as they came', () => {
    fc.assert(
      fc.property(pictures, ({ size: { width, height }, items }) => {
        const batch = makeStack(imageInput({ width, height }, 'uint8-nhwc'), 4)(items);
        expect(batch.type).toBe('uint8');
        expect(batch.dims).toEqual([items.length, height, width, 3]);
        expect([...batch.data]).toEqual(items.flatMap(({ bytes }) => [...bytes]));
      }),
      { numRuns: 100 },
    );
  });

  test('as float32-nchw is [N, 3, height, width], (pixel / 255 - mean) / std', () => {
    fc.assert(
      fc.property(pictures, ({ size: { width, height }, items }) => {
        const batch = makeStack(imageInput({ width, height }, 'float32-nchw'), 4)(items);
        const formula: number[] = [];
        for (const { bytes } of items) {
          for (const channel of [0, 1, 2]) {
            for (let y = 0; y < height; y++) {
              for (let x = 0; x < width; x++) {
                const pixel = bytes[(y * width + x) * 3 + channel] as number;
                const value = (pixel / 255 - (mean[channel] ?? 0)) / (std[channel] ?? 1);
                formula.push(Math.fround(value));
              }
            }
          }
        }
        expect(batch.type).toBe('float32');
        expect(batch.dims).toEqual([items.length, 3, height, width]);
        expect([...batch.data]).toEqual(formula);
      }),
      { numRuns: 100 },
    );
  });

  test('as float32-nchw of one known picture has the reds first, then greens, then blues', () => {
    const input = inputOf({
      kind: 'image',
      width: 2,
      height: 1,
      tensor: 'float32-nchw',
      mean: [0, 0, 0.5],
      std: [1, 0.5, 1],
    });
    const bytes = Uint8Array.of(255, 0, 0, 0, 255, 255);
    expect(makeStack(input, 4)([{ bytes }])).toEqual({
      type: 'float32',
      dims: [1, 3, 1, 2],
      data: Float32Array.of(1, 0, 0, 2, -0.5, 0.5),
    });
  });

  test.each(['uint8-nhwc', 'float32-nchw'])('as %s owns its memory, to be given away', (tensor) => {
    const bytes = Uint8Array.of(1, 2, 3);
    const batch = makeStack(imageInput({ width: 1, height: 1 }, tensor), 4)([{ bytes }]);
    if (batch.type === 'string') throw new Error('Expected numbers.');
    expect(batch.data.buffer).not.toBe(bytes.buffer);
    expect(batch.data.byteLength).toBe(batch.data.buffer.byteLength);
  });
});

describe('the input to warm a model up with', () => {
  test('is the example for a text model, which has no bytes', () => {
    const { manifest } = makeSampleModel();
    expect(bytesOfItem(manifest.input)).toBeUndefined();
    expect(sampleInput(manifest)).toEqual({ text: 'hello' });
  });

  test('is a picture of the right size, and not of one colour', () => {
    const { manifest } = makeSampleModel({
      input: { kind: 'image', width: 5, height: 7, tensor: 'uint8-nhwc' },
    });
    const { bytes = new Uint8Array() } = sampleInput(manifest);
    expect(bytesOfItem(manifest.input)).toBe(105);
    expect(bytes).toHaveLength(105);
    expect(new Set(bytes).size).toBeGreaterThan(50);
  });
});
