// What the metadata of an ONNX file says of its pictures, as ONNX's `MetadataProps.md` names it. Azure's Custom Vision and
// Windows ML write it.

import type { Preparation } from './preparation.js';

const ranges = {
  NominalRange_0_255: { scale: 1 },
  Normalized_0_1: { scale: 1 / 255 },
  Normalized_1_1: { mean: 0.5, std: 0.5 },
};

/** Returns undefined if it says nothing, or of a range that a manifest does not have. */
export function readOnnxImage(metadata: ReadonlyMap<string, string>): Preparation | undefined {
  const format = metadata.get('Image.BitmapPixelFormat');
  const range = metadata.get('Image.NominalPixelRange') ?? 'NominalRange_0_255';
  if (format === undefined || !Object.hasOwn(ranges, range)) return undefined;
  const channels = /^Bgr/i.test(format) && { channels: 'bgr' };
  return {
    by: 'its metadata says',
    ...{ width: undefined, height: undefined, findsThings: false, unlike: undefined },
    pixels: () => ({ ...channels, ...ranges[range as keyof typeof ranges] }),
  };
}
