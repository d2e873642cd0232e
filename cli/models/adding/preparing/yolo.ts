// What an ONNX file of Ultralytics says of its pictures. YOLO and what else Ultralytics exports has metadata that no other
// exporter writes.

import type { Section } from '../settings.js';
import type { Preparation } from './preparation.js';

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
): Preparation | undefined {
  if (!metadata.has('stride') || !metadata.has('names')) return undefined;
  const task = metadata.get('task');
  if (task === undefined && answersWithRows) return undefined;
  const [, height, width] = /^\[(\d+), (\d+)\]$/.exec(metadata.get('imgsz') ?? '') ?? [];
  const isStretched = /^Ultralytics rt-?detr/i.test(metadata.get('description') ?? '');
  const whole = () => (isStretched ? resized : letterbox);
  return {
    by: 'in Ultralytics, which has exported it',
    width: Number(width) || undefined,
    height: Number(height) || undefined,
    findsThings: task !== 'classify' && task !== 'semantic',
    unlike: undefined,
    pixels: task === 'classify' ? cutOut : whole,
  };
}

function cutOut(width: number, height: number): Section {
  const shorterSide = Math.max(width, height);
  return { resize: 'shorter-side', shorterSide, interpolation: 'bilinear', scale: 1 / 255 };
}
