// Compares the tensors that networks get with those that Pillow, torchvision and Keras make of the same
// pictures (test/preprocessing/expected.py).

import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { Ending } from '../../api/call/ending.js';
import { numbersOf } from '../../api/inference/json-tensor.js';
import { makeImageKind } from '../../api/kinds/image.js';
import { imageTensor } from '../../shared/manifest/image-input.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { makeAdapter } from '../../worker/batch/inputs/adapter.js';
import { root } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { difference } from './photographs.js';

interface Case {
  readonly library: string;
  readonly what: string;
  readonly picture: string;
  /** What a number of the tensor changes by if a pixel changes by one. */
  readonly unit: number;
  readonly input: Record<string, unknown>;
  readonly shape: readonly number[];
  readonly tensor: string;
}

const folder = path.join(root, 'test/preprocessing');
const cases: readonly Case[] = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8'));
const kind = makeImageKind({ imagePixelsMax: 10_000_000, imagesMax: 1, threads: 4 });

/**
 * As for the included model (images.test.ts), since sharp and Pillow round differently; a little more on
 * average, since such small pictures have more contrast. A shift by half a pixel makes 2 and more.
 */
const closeMean = 0.7;
const closeMax = 16;

/** Prepares a picture as the API and the worker do. */
async function prepare(value: Buffer, given: Record<string, unknown>): Promise<Tensor> {
  const model = makeSampleModel({ input: { kind: 'image', ...given }, example: undefined });
  const { input } = model.manifest;
  if (input.kind !== 'image') throw new Error('Expected an image model.');
  const { datatype, inner } = imageTensor(input);
  const network = { name: 'x', datatype, type: datatype, shape: ['N', ...inner] };
  const adapter = makeAdapter(input, {
    name: 'sample',
    inputs: [network],
    batch: { max: 4, dimension: 'first' },
  });
  const pixels = await kind.prepare({ name: undefined, value }, model, new Ending());
  // Two rows, since the first could be right by chance where rows are counted wrongly.
  expect(adapter.countRows(pixels)).toBe(1);
  const [tensor] = adapter.stack([pixels, pixels]);
  return tensor as Tensor;
}

function toNumbers({ datatype }: Pick<Tensor, 'datatype'>, data: Uint8Array): number[] {
  if (datatype === 'BYTES') throw new Error('Expected numbers.');
  return Array.from(numbersOf(datatype, data) as ArrayLike<number>);
}

describe('the tensor of a picture', () => {
  test.each(cases.map((each) => [`${each.library}: ${each.what}`, each] as const))(
    'is that of %s',
    async (_, { picture, unit, input, shape, tensor }) => {
      const got = await prepare(readFileSync(path.join(folder, picture)), input);
      expect(got.shape).toEqual([2, ...shape]);
      const expected = toNumbers(got, Buffer.from(tensor, 'base64'));
      const numbers = toNumbers(got, got.data);
      const rows = [numbers.slice(0, expected.length), numbers.slice(expected.length)];
      expect(rows[1]).toEqual(rows[0]);
      const { mean, max } = difference(rows[0] as number[], expected);
      // A picture of the size of the network is not resized, so nothing is rounded but the numbers.
      const isResized = picture !== 'small.png' || input.shorterSide !== undefined;
      const rounding = got.datatype === 'FP16' ? 0.5 : 1e-3;
      expect(mean / unit).toBeLessThan(isResized ? closeMean : rounding);
      expect(max / unit).toBeLessThan(isResized ? closeMax : rounding);
    },
  );

  const ways: Record<string, unknown>[] = [
    { resize: 'stretch', interpolation: 'bilinear' },
    { resize: 'stretch', interpolation: 'nearest' },
    { resize: 'stretch', cropFraction: 0.875 },
    { resize: 'crop' },
    { resize: 'crop', interpolation: 'bilinear', antialias: false },
    { resize: 'shorter-side', shorterSide: 40 },
    { resize: 'shorter-side', shorterSide: 700, interpolation: 'nearest' },
    { resize: 'letterbox', padding: [200, 40, 90] },
    { resize: 'letterbox', padding: [200, 40, 90], interpolation: 'nearest' },
    { resize: 'letterbox', padding: [200, 40, 90], position: 'top-left' },
    { resize: 'stretch', interpolation: 'lanczos' },
    { resize: 'letterbox', padding: [200, 40, 90], interpolation: 'lanczos' },
    { resize: 'shorter-side', shorterSide: 40, interpolation: 'lanczos' },
  ];
  test.each(ways)('of a plain picture of any size has its colour: %j', async (way) => {
    const background = { r: 200, g: 40, b: 90 };
    const sizes = [
      [1, 1],
      [1, 4000],
      [4000, 1],
      [2, 3],
      [37, 3000],
      [25, 17],
      [1999, 1501],
      [1, 300_000],
      [300_000, 1],
    ] as const;
    for (const [width, height] of sizes) {
      const create = { width, height, channels: 3, background } as const;
      const file = await sharp({ create }).png().toBuffer();
      const input = { width: 32, height: 24, tensor: 'uint8-nhwc', ...way };
      const { data } = await prepare(file, input);
      const expected = Buffer.alloc(2 * 32 * 24 * 3, Buffer.from([200, 40, 90]));
      expect(difference(data, expected).max, `${width} × ${height}`).toBeLessThanOrEqual(1);
    }
  });

  test('is compared with other libraries in every layout, order, scaling and way to resize', () => {
    const seen = (key: string) => new Set(cases.map(({ input }) => input[key]).filter(Boolean));
    expect(seen('tensor').size).toBe(6);
    expect(seen('channels')).toEqual(new Set(['bgr', 'grey']));
    expect(seen('resize')).toEqual(new Set(['crop', 'shorter-side', 'letterbox']));
    expect(seen('position')).toEqual(new Set(['top-left']));
    expect(seen('interpolation').size).toBe(4);
    for (const key of ['mean', 'std', 'scale', 'offset']) expect(seen(key).size).toBeGreaterThan(0);
  });
});
