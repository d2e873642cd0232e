// What the network sees of a picture: the part that the API cuts out, in the network's size. The same code says where
// it lies; only the filter is the browser's own.

import { fitOf } from '../../kinds/pictures/fit.js';
import { element } from './element.js';
import type { ModelInfo } from './service.js';

type GivenInput = Extract<ModelInfo['input'], { kind: 'image' }>;

/** Draws what the network sees. Returns undefined if the browser cannot show the picture. */
export async function drawCrop(
  file: Blob,
  input: GivenInput,
): Promise<HTMLCanvasElement | undefined> {
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  const { width, height, padding = 0, channels } = input;
  const canvas = element('canvas', { width, height });
  const context = canvas.getContext('2d');
  if (!bitmap || !context) return undefined;
  const { region, scaled, offset } = fitOf(bitmap, input);
  context.fillStyle = `rgb(${[padding, padding, padding].flat().slice(0, 3).join(' ')})`;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = 'high';
  if (channels === 'grey') context.filter = 'grayscale(1)';
  context.drawImage(
    bitmap,
    ...([region.left, region.top, region.width, region.height] as const),
    ...([offset.left, offset.top, scaled.width, scaled.height] as const),
  );
  bitmap.close();
  return canvas;
}

export function sayCrop({ width, height, resize, cropFraction }: GivenInput): string {
  const isWhole = resize === 'letterbox' || (resize === 'stretch' && cropFraction === undefined);
  const what = isWhole ? 'the whole picture' : 'the part in its middle';
  return `The network sees ${what}, in ${width} × ${height} pixels.`;
}
