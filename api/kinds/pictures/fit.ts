// Where a picture goes in the pixels of a network: which part of it is resized, to which size, and where the
// result lies. The roundings are those of the libraries that networks are trained with.
//
// The page at `/` runs this in browsers, so it imports nothing.

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What a manifest says of it (shared/manifest/image-input.ts). */
export interface FitRule extends Size {
  readonly resize?: 'stretch' | 'crop' | 'shorter-side' | 'letterbox' | undefined;
  readonly cropFraction?: number | undefined;
  readonly shorterSide?: number | undefined;
  readonly position?: 'centre' | 'top-left' | undefined;
}

interface Place {
  readonly left: number;
  readonly top: number;
}

export type Region = Size & Place;

export interface Fit {
  /** The part of the picture that is resized. */
  readonly region: Region;
  readonly scaled: Size;
  /** Where the resized part begins in the pixels of the network; negative if it reaches beyond them. */
  readonly offset: Place;
}

/**
 * A long picture whose shorter side is resized is cut to its middle before, if it would have more pixels than
 * this. What is cut off lies outside of the network's pixels.
 */
const scaledPixelsMax = 4_000_000;

export function fitOf(picture: Size, input: FitRule): Fit {
  if (input.resize === 'shorter-side') return fitShorterSide(picture, input);
  if (input.resize === 'letterbox') return letterbox(picture, input);
  const { width, height, cropFraction } = input;
  const region =
    input.resize === 'crop'
      ? proportionalPart(picture, input)
      : cropFraction === undefined
        ? wholeOf(picture)
        : centredSquare(picture, cropFraction);
  return { region, scaled: { width, height }, offset: { left: 0, top: 0 } };
}

function wholeOf({ width, height }: Size): Region {
  return { left: 0, top: 0, width, height };
}

/** The crop of the original EfficientNet evaluation, with the same rounding. */
function centredSquare({ width, height }: Size, fraction: number): Region {
  const side = Math.max(1, Math.floor(Math.min(width, height) * fraction));
  return {
    left: Math.floor((width - side + 1) / 2),
    top: Math.floor((height - side + 1) / 2),
    width: side,
    height: side,
  };
}

/** As `smart_resize` and `crop_to_aspect_ratio` of Keras. */
function proportionalPart(picture: Size, input: Size): Region {
  const part = (side: number, other: number, ratio: number) =>
    Math.max(1, Math.min(side, Math.trunc(other * ratio)));
  const width = part(picture.width, picture.height, input.width / input.height);
  const height = part(picture.height, picture.width, input.height / input.width);
  return middleOf(picture, { width, height });
}

function middleOf(picture: Size, { width, height }: Size): Region {
  const left = Math.trunc((picture.width - width) / 2);
  const top = Math.trunc((picture.height - height) / 2);
  return { left, top, width, height };
}

/** As torchvision's Resize with one number, and CenterCrop. */
function fitShorterSide(picture: Size, input: FitRule): Fit {
  const shorter = Math.min(picture.width, picture.height);
  const target = input.shorterSide ?? Math.max(input.width, input.height);
  const longerMax = Math.ceil(shorter * Math.max(2, scaledPixelsMax / target ** 2));
  // An odd number of pixels cannot be cut off in equal parts.
  const cut = (side: number) => (side > longerMax ? longerMax + ((side - longerMax) % 2) : side);
  const region = middleOf(picture, { width: cut(picture.width), height: cut(picture.height) });
  const scale = (side: number) => Math.trunc((target * side) / shorter);
  const scaled = { width: scale(region.width), height: scale(region.height) };
  const left = -roundToEven((scaled.width - input.width) / 2);
  const top = -roundToEven((scaled.height - input.height) / 2);
  return { region, scaled, offset: { left, top } };
}

/** As the letterboxes of YOLO, in the centre, and of YOLOX, at the top left. */
function letterbox(picture: Size, input: FitRule): Fit {
  const ratio = Math.min(input.width / picture.width, input.height / picture.height);
  const scale = (side: number) => Math.max(1, roundToEven(side * ratio));
  const scaled = { width: scale(picture.width), height: scale(picture.height) };
  const isCentred = input.position !== 'top-left';
  const { left, top } = isCentred ? middleOf(input, scaled) : wholeOf(scaled);
  return { region: wholeOf(picture), scaled, offset: { left, top } };
}

/** Rounds as Python does: halves to the even neighbour. */
function roundToEven(number: number): number {
  const floor = Math.floor(number);
  if (number - floor !== 0.5) return Math.round(number);
  return floor % 2 === 0 ? floor : floor + 1;
}
