import { expect, test } from 'vitest';
import { fitOf } from '../../api/kinds/pictures/fit.js';

const input = { width: 32, height: 32, resize: 'shorter-side', shorterSide: 36 } as const;

/** Where the middle of the network's pixels lies in a picture, along one side, in pixels of the result. */
function middleOf(side: 'width' | 'height', picture: { width: number; height: number }): number {
  const { region, scaled, offset } = fitOf(picture, input);
  const start = side === 'width' ? 'left' : 'top';
  const scale = scaled[side] / region[side];
  const middle = input[side] / 2 - offset[start] + region[start] * scale;
  return middle - (picture[side] * scale) / 2;
}

test('the middle of a picture is kept, however long it is and whatever is cut off before', () => {
  for (const shorter of [1, 2, 3, 5, 10, 33, 500]) {
    for (const longer of [500, 501, 9000, 20_000, 20_001, 30_001]) {
      const wide = { width: longer, height: shorter };
      const high = { width: shorter, height: longer };
      for (const difference of [middleOf('width', wide), middleOf('height', high)]) {
        // Half a pixel, since the offset is a whole number, and a little for the size, which is cut to one.
        expect(Math.abs(difference), `${longer} and ${shorter}`).toBeLessThan(1.01);
      }
    }
  }
});

test.each([
  [451, 300, { left: 95, top: 19, width: 262 }],
  [300, 451, { left: 19, top: 95, width: 262 }],
  [450, 299, { left: 95, top: 19, width: 261 }],
  [334, 257, { left: 55, top: 17, width: 224 }],
  [258, 259, { left: 17, top: 17, width: 225 }],
  [257, 1200, { left: 17, top: 488, width: 224 }],
  [256, 256, { left: 16, top: 16, width: 224 }],
  [1, 1, { left: 0, top: 0, width: 1 }],
])('the square of a picture of %i × %i is rounded as in training', (width, height, expected) => {
  const { region } = fitOf({ width, height }, { width: 224, height: 224, cropFraction: 7 / 8 });
  expect(region).toEqual({ ...expected, height: expected.width });
});
