// What `preprocessor_config.json` says of the pictures of a network, as the image processors of Hugging Face's transformers
// write it. Source: `image_processing_*.py` of transformers 4.

import type { Section } from '../settings.js';
import type { Preparation } from './preparation.js';

type Content = Readonly<Record<string, unknown>>;

interface Size {
  readonly width: number;
  readonly height: number;
}

/** How a picture gets its size. */
interface Resize {
  readonly size?: Size;
  /** The shorter side of the resized picture, out of which the size is cut; undefined for one that is stretched. */
  readonly shorterSide?: number;
  /** What a manifest cannot say. */
  readonly unlike?: string;
}

/** Pillow's numbers of filters, and the names in a manifest. */
const filters = new Map<unknown, string>([
  [0, 'nearest'],
  [1, 'lanczos'],
  [2, 'bilinear'],
  [3, 'bicubic'],
]);
const bilinear = 2;
/** Before sizes had names, one number was the shorter side for these, and both sides for others. */
const ofShorterSide = /^(CLIP|ChineseCLIP|ConvNext|Levit|MobileNet|MobileViT|PoolFormer|Bit)/;
const byte = 1 / 255;

/** Returns undefined for a file of something else, such as sounds. */
export function readImageProcessor(content: Content, file: string): Preparation | undefined {
  const type = String(content.image_processor_type ?? content.feature_extractor_type ?? '');
  if (!('image_mean' in content) && !/Image/.test(type)) return undefined;
  const resize = readResize(content, type);
  const interpolation = filters.get(content.resample ?? bilinear);
  const unlike = resize.unlike ?? (interpolation ? undefined : 'it has another filter');
  const scaling = readScaling(content, type);
  return {
    by: `${file} says`,
    ...{ width: resize.size?.width, height: resize.size?.height, findsThings: false, unlike },
    pixels: (width, height) => ({
      ...(unlike === undefined && { interpolation, ...cutFor({ width, height }, resize) }),
      ...scaling,
    }),
  };
}

/** A network that was exported for another size gets as large a part of a picture. */
function cutFor({ width, height }: Size, { size, shorterSide }: Resize): Section {
  if (!size || shorterSide === undefined) return {};
  const factor = Math.max(width, height) / Math.max(size.width, size.height);
  return { resize: 'shorter-side', shorterSide: Math.round(shorterSide * factor) };
}

/** A pixel becomes (pixel × factor + shift - mean) / std. */
function readScaling(content: Content, type: string): Section {
  const channels = content.do_flip_channel_order === true && { channels: 'bgr' };
  const factor = content.do_rescale === false ? 1 : Number(content.rescale_factor ?? byte);
  const shift = content.rescale_offset === true && content.do_rescale !== false ? -1 : 0;
  const [mean, once] = [content.image_mean, content.image_std].map(toNumbers);
  if (content.do_normalize === false || !mean || !once) {
    return { ...channels, scale: factor, ...(shift !== 0 && { offset: shift }) };
  }
  // EfficientNet divides twice in front of its classes.
  const isTwice = type.startsWith('EfficientNet') && content.include_top !== false;
  const std = isTwice ? once.map((value) => value ** 2) : once;
  const areShares = shift === 0 && Math.abs(factor - byte) < 1e-9;
  if (areShares && std.every((value) => value <= 1)) return { ...channels, mean, std };
  const scale = std.map((value) => factor / value);
  const offset = std.map((value, at) => (shift - (mean[at] ?? 0)) / value);
  return { ...channels, scale, offset };
}

function toNumbers(value: unknown): number[] | undefined {
  const numbers = Array.isArray(value) ? value : [value, value, value];
  return numbers.length === 3 && numbers.every(Number.isFinite) ? numbers : undefined;
}

function readResize(content: Content, type: string): Resize {
  if (content.do_resize === false) return { unlike: 'it resizes nothing' };
  const { shorter, size } = readSize(content.size, type);
  const crop = content.do_center_crop === true ? readSize(content.crop_size, '').size : undefined;
  if (size) {
    const isWhole = !crop || (crop.width === size.width && crop.height === size.height);
    return isWhole ? { size } : { size: crop, unlike: 'it cuts them out of a stretched picture' };
  }
  if (shorter && type.startsWith('ConvNext')) return ofConvNext(shorter, content.crop_pct);
  if (!crop || !shorter) return { unlike: 'its pictures have several sizes' };
  const shorterSide = Math.floor(shorter / shareOf(content, type));
  const isLarge = shorterSide >= Math.max(crop.width, crop.height);
  return isLarge
    ? { size: crop, shorterSide }
    : { size: crop, unlike: 'it puts black around them' };
}

/** The share of the shorter side that some cut out. */
function shareOf(content: Content, type: string): number {
  if (type.startsWith('Levit')) return 224 / 256;
  return type.startsWith('PoolFormer') ? Number(content.crop_pct ?? 1) : 1;
}

/** ConvNeXt and ResNet cut a small size out of a larger picture, and stretch to a large one. */
function ofConvNext(side: number, share: unknown): Resize {
  const size = { width: side, height: side };
  if (side >= 384) return { size };
  return { size, shorterSide: Math.floor(side / Number(share ?? 224 / 256)) };
}

/** Returns nothing of a size that depends on the picture. */
function readSize(given: unknown, type: string): { shorter?: number; size?: Size } {
  if (typeof given === 'number') {
    return ofShorterSide.test(type)
      ? { shorter: given }
      : { size: { width: given, height: given } };
  }
  const { shortest_edge: shorter, longest_edge: longest, width, height } = (given ?? {}) as Content;
  if (typeof shorter === 'number' && longest === undefined) return { shorter };
  const isFixed = typeof width === 'number' && typeof height === 'number';
  return isFixed ? { size: { width, height } } : {};
}
