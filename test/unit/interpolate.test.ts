// Compares resized pixels with those of Pillow 12.3.0: `Image.fromarray(pixels).resize(size, filter)`.

import { expect, test } from 'vitest';
import { interpolate } from '../../api/kinds/interpolate.js';

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
    const resized = await interpolate(pixels, from, larger, filter as keyof typeof pillow);
    const differences = expected.map((value, at) => Math.abs(value - (resized[at] as number)));
    expect(resized).toHaveLength(expected.length);
    // Pillow computes in whole numbers.
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  },
);

test('a centre that lies between two pixels belongs to the second', async () => {
  const steps = Uint8Array.from([0, 10, 20, 30].flatMap((value) => [value, value, value]));
  const resized = await interpolate(
    steps,
    { width: 4, height: 1 },
    { width: 5, height: 1 },
    'nearest',
  );
  expect([...resized].filter((_, at) => at % 3 === 0)).toEqual([0, 10, 20, 20, 30]);
});

test('pixels that shrink with a filter that stays narrow are made of the nearest ones', async () => {
  const smaller = { width: 3, height: 2 };
  const nearest = await interpolate(pixels, from, smaller, 'nearest');
  expect([...nearest]).toEqual([
    78, 39, 248, 108, 241, 181, 41, 163, 225, 54, 172, 100, 177, 20, 179, 19, 26, 116,
  ]);
  // 8 columns become 2: the centres lie between the places 1 and 2, and 5 and 6.
  const steps = Uint8Array.from(
    [0, 10, 20, 30, 40, 50, 60, 70].flatMap((value) => [value, value, value]),
  );
  const row = { width: 8, height: 1 };
  const narrow = await interpolate(steps, row, { width: 2, height: 1 }, 'bilinear');
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
    const resized = await interpolate(plain, { width, height }, to, filter);
    expect(new Set(resized)).toEqual(new Set([201]));
  }
});
