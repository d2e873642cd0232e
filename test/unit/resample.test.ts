// Compares resized pixels with those of Pillow 12.3.0: `Image.fromarray(pixels).resize(size, filter)`.

import { describe, expect, test } from 'vitest';
import type { Size } from '../../api/kinds/pictures/fit.js';
import type { Filter } from '../../api/kinds/pictures/resample/filters.js';
import { resample } from '../../api/kinds/pictures/resample/resample.js';
import type { ImageInput } from '../../shared/manifest/image-input.js';

type Interpolation = ImageInput['interpolation'];

function resize(data: Uint8Array, from: Size, to: Size, interpolation: Interpolation) {
  const pixels = { data, width: from.width, channels: 3 } as const;
  return resample(pixels, { ...from, left: 0, top: 0 }, to, { interpolation, antialias: false });
}

/** 3 rows of 4 pixels. */
const pixels = Uint8Array.from([
  78, 39, 248, 185, 251, 31, 108, 241, 181, 41, 163, 225, 204, 92, 230, 130, 195, 142, 192, 240,
  132, 27, 235, 249, 54, 172, 100, 248, 110, 171, 177, 20, 179, 19, 26, 116,
]);
const from = { width: 4, height: 3 };

const larger = { width: 7, height: 5 };
const pillow = {
  bilinear: [
    78, 39, 248, 116, 115, 170, 177, 236, 46, 147, 246, 106, 103, 235, 184, 65, 191, 209, 41, 163,
    225, 128, 60, 241, 141, 121, 182, 160, 217, 87, 153, 235, 118, 134, 237, 166, 73, 209, 208, 35,
    192, 235, 204, 92, 230, 178, 129, 199, 135, 188, 148, 161, 218, 137, 180, 240, 140, 86, 237,
    207, 27, 235, 249, 114, 140, 152, 145, 142, 155, 194, 144, 159, 192, 126, 160, 172, 108, 161,
    79, 109, 166, 22, 110, 169, 54, 172, 100, 123, 150, 125, 234, 114, 166, 213, 65, 175, 166, 20,
    175, 75, 24, 139, 19, 26, 116,
  ],
  bicubic: [
    59, 17, 255, 108, 102, 175, 187, 246, 28, 156, 255, 87, 97, 237, 192, 56, 182, 217, 38, 151,
    226, 127, 40, 255, 139, 108, 190, 160, 227, 74, 157, 251, 99, 133, 248, 168, 66, 214, 219, 29,
    194, 244, 210, 84, 237, 179, 121, 204, 131, 189, 146, 167, 224, 124, 186, 241, 137, 79, 238,
    213, 14, 235, 255, 105, 147, 143, 140, 145, 151, 200, 139, 165, 212, 117, 164, 178, 96, 160, 70,
    99, 162, 8, 103, 163, 26, 184, 83, 110, 160, 115, 249, 110, 170, 240, 49, 187, 167, 1, 179, 63,
    5, 129, 5, 10, 100,
  ],
  lanczos: [
    40, 10, 252, 107, 100, 167, 189, 240, 27, 173, 252, 68, 89, 225, 200, 49, 169, 225, 39, 139,
    217, 132, 27, 255, 141, 103, 193, 153, 228, 74, 164, 255, 73, 130, 255, 172, 65, 223, 231, 26,
    201, 250, 215, 82, 240, 175, 119, 206, 130, 187, 150, 174, 233, 108, 185, 240, 140, 81, 239,
    215, 6, 233, 255, 106, 152, 139, 141, 149, 151, 196, 136, 171, 229, 111, 170, 178, 92, 157, 68,
    96, 159, 1, 105, 160, 4, 184, 76, 107, 165, 109, 249, 112, 163, 255, 36, 202, 157, 0, 179, 55,
    0, 126, 4, 5, 92,
  ],
} as const;

test.each(Object.entries(pillow))(
  'pixels that grow are those of Pillow: %s',
  async (filter, expected) => {
    const resized = await resize(pixels, from, larger, filter as keyof typeof pillow);
    const differences = expected.map((value, at) => Math.abs(value - (resized[at] as number)));
    expect(resized).toHaveLength(expected.length);
    // Pillow computes in whole numbers.
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  },
);

test('a centre that lies between two pixels belongs to the second', async () => {
  const steps = Uint8Array.from([0, 10, 20, 30].flatMap((value) => [value, value, value]));
  const resized = await resize(steps, { width: 4, height: 1 }, { width: 5, height: 1 }, 'nearest');
  expect([...resized].filter((_, at) => at % 3 === 0)).toEqual([0, 10, 20, 20, 30]);
});

test('pixels that shrink with a filter that stays narrow are made of the nearest ones', async () => {
  const smaller = { width: 3, height: 2 };
  const nearest = await resize(pixels, from, smaller, 'nearest');
  expect([...nearest]).toEqual([
    78, 39, 248, 108, 241, 181, 41, 163, 225, 54, 172, 100, 177, 20, 179, 19, 26, 116,
  ]);
  // 8 columns become 2: the centres lie between the places 1 and 2, and 5 and 6.
  const steps = Uint8Array.from(
    [0, 10, 20, 30, 40, 50, 60, 70].flatMap((value) => [value, value, value]),
  );
  const row = { width: 8, height: 1 };
  const narrow = await resize(steps, row, { width: 2, height: 1 }, 'bilinear');
  expect([...narrow]).toEqual([15, 15, 15, 55, 55, 55]);
});

test.each([
  [1, 1],
  [1, 9],
  [300, 1],
])('pixels of one colour keep it: %i × %i', async (width, height) => {
  const plain = new Uint8Array(width * height * 3).fill(201);
  for (const filter of ['nearest', 'bilinear', 'bicubic', 'lanczos'] as const) {
    const to = { width: 64, height: 48 };
    const resized = await resize(plain, { width, height }, to, filter);
    expect(new Set(resized)).toEqual(new Set([201]));
  }
});

/** The same in plain numbers: Pillow's weights, first in the rows, then in the columns, with 8 bits between. */
function plainly(data: Uint8Array, from: Size, to: Size, filter: Filter): Uint8Array {
  const across = plainRows(data, from, to.width, filter);
  const turned = turn(across, { width: to.width, height: from.height });
  const turnedSize = { width: from.height, height: to.width };
  const resized = plainRows(turned, turnedSize, to.height, filter);
  return turn(resized, { width: to.height, height: to.width });
}

function plainRows(data: Uint8Array, { width, height }: Size, wanted: number, filter: Filter) {
  const { reach, weigh } = plainFilters[filter.interpolation];
  const scale = width / wanted;
  const widening = filter.antialias ? Math.max(1, scale) : 1;
  return Uint8ClampedArray.from({ length: wanted * height * 3 }, (_, at) => {
    const row = Math.floor(at / (wanted * 3));
    const place = Math.floor(at / 3) % wanted;
    const centre = (place + 0.5) * scale;
    let [sum, total] = [0, 0];
    const first = Math.max(0, Math.trunc(centre - reach * widening + 0.5));
    const end = Math.min(width, Math.trunc(centre + reach * widening + 0.5));
    for (let column = first; column < end; column++) {
      const weight = weigh(Math.abs((column + 0.5 - centre) / widening));
      sum += weight * (data[(row * width + column) * 3 + (at % 3)] as number);
      total += weight;
    }
    // Halves are rounded up, as in Pillow.
    return wanted === width ? (data[at] as number) : Math.floor(sum / total + 0.5 + 1e-9);
  });
}

function turn(data: ArrayLike<number>, { width, height }: Size): Uint8Array {
  return Uint8Array.from({ length: data.length }, (_, at) => {
    const [row, column] = [Math.floor(at / (height * 3)), Math.floor(at / 3) % height];
    return data[(column * width + row) * 3 + (at % 3)] as number;
  });
}

const plainFilters = {
  nearest: { reach: 0.5, weigh: () => 1 },
  bilinear: { reach: 1, weigh: (x: number) => Math.max(0, 1 - x) },
  bicubic: {
    reach: 2,
    weigh: (x: number) =>
      x < 1
        ? 1.5 * x ** 3 - 2.5 * x ** 2 + 1
        : x < 2
          ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2
          : 0,
  },
  lanczos: {
    reach: 3,
    weigh: (x: number) =>
      x === 0
        ? 1
        : x < 3
          ? (3 * Math.sin(Math.PI * x) * Math.sin((Math.PI * x) / 3)) / (Math.PI * x) ** 2
          : 0,
  },
};

describe.each([
  [
    { width: 113, height: 75 },
    { width: 24, height: 15 },
  ],
  [
    { width: 113, height: 75 },
    { width: 24, height: 16 },
  ],
  [
    { width: 64, height: 48 },
    { width: 32, height: 24 },
  ],
  [
    { width: 60, height: 90 },
    { width: 20, height: 30 },
  ],
  [
    { width: 37, height: 700 },
    { width: 1, height: 24 },
  ],
  [
    { width: 700, height: 5 },
    { width: 3, height: 60 },
  ],
  [
    { width: 50, height: 50 },
    { width: 50, height: 20 },
  ],
  [
    { width: 7, height: 3 },
    { width: 31, height: 29 },
  ],
  [
    { width: 1, height: 1 },
    { width: 5, height: 4 },
  ],
])('pixels of %o become %o', (from, to) => {
  let seed = 7;
  const noise = Uint8Array.from({ length: from.width * from.height * 3 }, () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed >> 16;
  });

  test.each(['bilinear', 'bicubic', 'lanczos'] as const)(
    'as by plain numbers: %s',
    async (interpolation) => {
      for (const antialias of [true, false]) {
        const filter = { interpolation, antialias };
        const pixels = { data: noise, width: from.width, channels: 3 } as const;
        const resized = await resample(pixels, { ...from, left: 0, top: 0 }, to, filter);
        const expected = plainly(noise, from, to, filter);
        const differences = [...expected].map((value, at) =>
          Math.abs(value - (resized[at] as number)),
        );
        // A rounding between the two passes can be a whole step.
        expect(Math.max(...differences)).toBeLessThanOrEqual(2);
        const mean = differences.reduce((sum, each) => sum + each, 0) / differences.length;
        expect(mean).toBeLessThan(0.1);
      }
    },
  );

  test('a part of a picture is resized like a picture of its own', async () => {
    const around = { width: from.width + 7, height: from.height + 5 };
    const data = new Uint8Array(around.width * around.height * 3).fill(99);
    for (let row = 0; row < from.height; row++) {
      const own = noise.subarray(row * from.width * 3, (row + 1) * from.width * 3);
      data.set(own, ((row + 2) * around.width + 3) * 3);
    }
    const filter = { interpolation: 'bicubic', antialias: true } as const;
    const part = { ...from, left: 3, top: 2 };
    const resized = await resample({ data, width: around.width, channels: 3 }, part, to, filter);
    const whole = { ...from, left: 0, top: 0 };
    const own = await resample({ data: noise, width: from.width, channels: 3 }, whole, to, filter);
    expect(resized.equals(own)).toBe(true);
  });

  test('grey pixels are resized like pixels of three equal channels', async () => {
    const grey = noise.subarray(0, from.width * from.height);
    const threefold = Uint8Array.from(
      { length: grey.length * 3 },
      (_, at) => grey[Math.floor(at / 3)] as number,
    );
    const filter = { interpolation: 'bilinear', antialias: true } as const;
    const whole = { ...from, left: 0, top: 0 };
    const one = await resample({ data: grey, width: from.width, channels: 1 }, whole, to, filter);
    const three = await resample(
      { data: threefold, width: from.width, channels: 3 },
      whole,
      to,
      filter,
    );
    expect(one.equals(three)).toBe(true);
  });
});

test('pictures that are resized at the same time do not disturb each other', async () => {
  const filter = { interpolation: 'lanczos', antialias: true } as const;
  const make = (value: number) => {
    const [width, height] = [2000, 1500];
    const data = new Uint8Array(width * height * 3).fill(value);
    return resample(
      { data, width, channels: 3 },
      { width, height, left: 0, top: 0 },
      { width: 90, height: 70 },
      filter,
    );
  };
  const values = [10, 90, 170, 250];
  const resized = await Promise.all(values.map(make));
  expect(resized.map((pixels) => [...new Set(pixels)])).toEqual(values.map((value) => [value]));
});
