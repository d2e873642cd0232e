// The photographs in test/photographs, with their right classes and exact pixels.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { Picture } from '../../api/kinds/pictures/picture.js';
import type { ImageInput } from '../../shared/manifest/image-input.js';
import type { Model } from '../../shared/registry/models.js';
import { readModel, root } from '../harness.js';

const folder = path.join(root, 'test/photographs');

export const photographs: readonly string[] = readdirSync(folder)
  .filter((name) => /\.(png|jpg)$/.test(name))
  .sort();

/** The right classes of each photograph, as lines of models/imagenet-1k.txt. */
export const expectedClasses: Readonly<Record<string, readonly string[]>> = JSON.parse(
  readFileSync(path.join(folder, 'expected.json'), 'utf8'),
);

export function photograph(name: string): Buffer {
  return readFileSync(path.join(folder, name));
}

/** Returns the pixels that the network gets. */
export async function toPixels(bytes: Buffer, input: ImageInput): Promise<Buffer> {
  const picture = await Picture.open(bytes);
  return picture.toPixels(input);
}

/** Returns the 224 × 224 RGB pixels that the network should see. Pillow made them beforehand. */
export function preprocessedPixels(name: string): Promise<Buffer> {
  const file = path.join(folder, 'preprocessed', `${path.parse(name).name}.png`);
  return sharp(file).removeAlpha().raw().toBuffer();
}

export function readEfficientNet(): Model & { manifest: { input: ImageInput } } {
  const model = readModel('efficientnet-lite0');
  if (model.manifest.input.kind !== 'image') throw new Error('Expected an image model.');
  return model as Model & { manifest: { input: ImageInput } };
}

/** Returns the mean and the largest difference between two lists of the same length. */
export function difference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): { mean: number; max: number } {
  if (a.length !== b.length) throw new Error(`Expected ${b.length} values; got ${a.length}.`);
  let sum = 0;
  let max = 0;
  for (let at = 0; at < a.length; at++) {
    const apart = Math.abs((a[at] as number) - (b[at] as number));
    sum += apart;
    max = Math.max(max, apart);
  }
  return { mean: sum / a.length, max };
}

/** Returns a PNG of a few bytes whose header claims this size. */
export function pngHeader(width: number, height: number): Buffer {
  const whole = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  whole.writeUInt32BE(width, 16);
  whole.writeUInt32BE(height, 20);
  whole.writeUInt32BE(crc32(whole.subarray(12, 29)), 29);
  return whole;
}
