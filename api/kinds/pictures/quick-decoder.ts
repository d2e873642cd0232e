// The door to @napi-rs/image, which decodes a small picture in one go on one thread. sharp passes parts of it from
// thread to thread, which takes a millisecond or two more, and longer on a busy machine.
//
// It is lenient, so it gets plain pictures only (plain-png.ts, plain-jpeg/), and what it makes of a JPEG counts only if
// the data is whole.

// biome-ignore lint/style/noRestrictedImports: this file is the door to @napi-rs/image.
import { Transformer } from '@napi-rs/image';
import type { Size } from './fit.js';
import type { Pixels } from './pixels.js';

/** @throws Error when the picture is damaged or has another size */
export async function decodeQuickly(bytes: Buffer, { width, height }: Size): Promise<Pixels> {
  const data = await new Transformer(bytes).rawPixels();
  const channels = data.length / (width * height);
  if (channels !== 1 && channels !== 3) {
    throw new Error(`Expected ${width} × ${height} pixels; got ${data.length} bytes.`);
  }
  return { data, width, channels };
}
