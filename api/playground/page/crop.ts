// What the network sees of a picture: the centred square that the API cuts out, in the network's size.

import { element } from './element.js';
import type { ModelInfo } from './service.js';

type ImageInput = Extract<ModelInfo['input'], { kind: 'image' }>;

/** Draws what the network sees. Returns undefined if the browser cannot show the picture. */
export async function drawCrop(
  file: Blob,
  input: ImageInput,
): Promise<HTMLCanvasElement | undefined> {
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  if (!bitmap) return undefined;
  const { width, height, cropFraction } = input;
  const canvas = element('canvas', { width, height });
  const context = canvas.getContext('2d');
  if (!context) return undefined;
  context.imageSmoothingQuality = 'high';
  const side = Math.min(bitmap.width, bitmap.height) * (cropFraction ?? 1);
  const [w, h] = cropFraction === undefined ? [bitmap.width, bitmap.height] : [side, side];
  const [x, y] = [(bitmap.width - w) / 2, (bitmap.height - h) / 2];
  context.drawImage(bitmap, x, y, w, h, 0, 0, width, height);
  bitmap.close();
  return canvas;
}

export function sayCrop({ width, height, cropFraction }: ImageInput): string {
  const what = cropFraction === undefined ? 'the whole picture' : 'the square in its middle';
  return `The network sees ${what}, in ${width} × ${height} pixels.`;
}
