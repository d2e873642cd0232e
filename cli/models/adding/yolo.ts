// What an ONNX file of Ultralytics says of its pictures. YOLO and what else Ultralytics exports has metadata that no other
// exporter writes.

import type { Section } from './settings.js';

export interface Yolo {
  /** The size of the pictures that it was exported with, in pixels. A network may take others as well. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Whether it finds things in a picture, of which it has some numbers each. */
  readonly findsThings: boolean;
  /** Makes the keys of the manifest's input that say what happens to a picture on its way to a network of this size. */
  pixels(width: number, height: number): Section;
}

/** As the letterbox of Ultralytics, which resizes with OpenCV. */
const resized = { interpolation: 'bilinear', antialias: false, scale: 1 / 255 };
const letterbox = { resize: 'letterbox', padding: 114, ...resized };

/**
 * Reads the metadata of an ONNX file; undefined if Ultralytics has not written it. Sources: `exporter.py`, `LetterBox` and
 * `classify_transforms` of Ultralytics 8, and `export.py` of YOLOv5, whose classifiers are normalised as ImageNet.
 * @param answersWithRows whether each output has one dimension beside that of the pictures, as a classifier has
 */
export function readYolo(
  metadata: ReadonlyMap<string, string>,
  answersWithRows: boolean,
): Yolo | undefined {
  if (!metadata.has('stride') || !metadata.has('names')) return undefined;
  const task = metadata.get('task');
  if (task === undefined && answersWithRows) return undefined;
  const [, height, width] = /^\[(\d+), (\d+)\]$/.exec(metadata.get('imgsz') ?? '') ?? [];
  const size = { width: Number(width) || undefined, height: Number(height) || undefined };
  if (task === 'classify') return { ...size, findsThings: false, pixels: cutOut };
  const isStretched = /^Ultralytics rt-?detr/i.test(metadata.get('description') ?? '');
  const pixels = () => (isStretched ? resized : letterbox);
  return { ...size, findsThings: task !== 'semantic', pixels };
}

function cutOut(width: number, height: number): Section {
  const shorterSide = Math.max(width, height);
  return { resize: 'shorter-side', shorterSide, interpolation: 'bilinear', scale: 1 / 255 };
}
