// Pixels as the model takes them. The API has decoded and resized; here bytes are only stacked,
// and turned into floats where the network was not exported to do that itself.

import type { ImageInput } from '../../shared/manifest.js';
import type { Stack } from './kinds.js';

/** [N, height, width, 3] of 8 bits: the pixels as they came. */
export function makeStackPixels(input: ImageInput): Stack {
  const size = input.height * input.width * 3;
  return (items) => {
    const data = new Uint8Array(items.length * size);
    for (const [index, item] of items.entries()) data.set(item.bytes as Uint8Array, index * size);
    return { type: 'uint8', dims: [items.length, input.height, input.width, 3], data };
  };
}

/** [N, 3, height, width] of floats, (pixel / 255 - mean) / std; each of 256 values is looked up. */
export function makeStackChannels(input: ImageInput): Stack {
  const mean = input.mean ?? [0, 0, 0];
  const std = input.std ?? [1, 1, 1];
  const tables = [0, 1, 2].map((channel) =>
    Float32Array.from(
      { length: 256 },
      (_, pixel) => (pixel / 255 - (mean[channel] as number)) / (std[channel] as number),
    ),
  );
  const plane = input.height * input.width;
  return (items) => {
    const data = new Float32Array(items.length * 3 * plane);
    for (const [index, item] of items.entries()) {
      for (const [channel, table] of tables.entries()) {
        const offset = (index * 3 + channel) * plane;
        separateChannel(
          item.bytes as Uint8Array,
          channel,
          table,
          data.subarray(offset, offset + plane),
        );
      }
    }
    return { type: 'float32', dims: [items.length, 3, input.height, input.width], data };
  };
}

function separateChannel(
  pixels: Uint8Array,
  channel: number,
  table: Float32Array,
  plane: Float32Array,
): void {
  for (let at = 0; at < plane.length; at++) {
    plane[at] = table[pixels[at * 3 + channel] as number] as number;
  }
}
