// What a manifest says of pictures: how a picture gets to the size of the network, and which numbers its
// pixels become. The API makes pixels of that size, in the order of `channels`; the worker makes the tensor.

import { z } from 'zod';

const side = z.number().int().positive().max(4096);
const channels = z.tuple([z.number(), z.number(), z.number()]);
const channelNumbers = z.union(
  [z.number(), channels],
  'expected a number, or a list of three: one for each channel, in the order of channels',
);
/** The usual slip: the numbers of a training whose pixels stay from 0 to 255. */
const ofShares =
  'since pixels are divided by 255 first. Divide the numbers by 255 as well if they are of pixels from 0 to 255';
const byte = z.number().int().min(0).max(255);

export const imageInputSchema = z
  .strictObject({
    kind: z.literal('image'),
    width: side.describe('The width of the picture that the network takes.'),
    height: side.describe('Its height.'),
    resize: z
      .enum(['stretch', 'crop', 'shorter-side', 'letterbox'])
      .default('stretch')
      .describe(
        'How a picture gets to `width` × `height`. `stretch`: without regard to its proportions. `crop`: the largest centred part of the right proportions is resized. `shorter-side`: the picture is resized until its shorter side is `shorterSide`, and the centre is cut out. `letterbox`: the whole picture is resized to fit, and the rest is `padding`.',
      ),
    cropFraction: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe(
        'With `resize: stretch`: first, the centred square whose side is this share of the shorter side is cut out. If unset, the whole picture is stretched.',
      ),
    shorterSide: side
      .optional()
      .describe('The shorter side of the resized picture, with `resize: shorter-side`.'),
    padding: z
      .union([byte, z.tuple([byte, byte, byte])], 'expected 0 to 255, or a list of three of them')
      .optional()
      .describe(
        'The colour around a picture with `resize: letterbox`: a grey, or red, green and blue. If unset, it is black.',
      ),
    position: z
      .enum(['centre', 'top-left'])
      .optional()
      .describe(
        'Where a picture lies with `resize: letterbox`: in the centre if unset, or at the top left.',
      ),
    interpolation: z
      .enum(['nearest', 'bilinear', 'bicubic', 'lanczos'])
      .default('bicubic')
      .describe('The filter that resizes.'),
    antialias: z
      .boolean()
      .default(true)
      .describe(
        'Whether the filter widens when it shrinks a picture, as in Pillow and torchvision. `false`, with `bilinear`: it looks at four pixels at most, as in TensorFlow and OpenCV.',
      ),
    channels: z
      .enum(['rgb', 'bgr', 'grey'])
      .default('rgb')
      .describe(
        'The channels that the network takes, and their order. `grey` is the luma of Pillow\'s `convert("L")`.',
      ),
    tensor: z
      .enum([
        'uint8-nhwc',
        'uint8-nchw',
        'float32-nhwc',
        'float32-nchw',
        'float16-nhwc',
        'float16-nchw',
      ])
      .describe(
        'What the network takes: raw pixels (`uint8`), or floats computed from them; with the channels last (`nhwc`) or first (`nchw`).',
      ),
    mean: channelNumbers
      .refine(
        (mean) => [mean].flat().every((value) => Math.abs(value) <= 1),
        `expected values from -1 to 1, ${ofShares}`,
      )
      .optional()
      .describe(
        'With `std`, for floats: they are (pixel / 255 - mean) / std. A number from -1 to 1, or one for each channel in the order of `channels`.',
      ),
    std: channelNumbers
      .refine((std) => [std].flat().every((value) => value > 0), 'expected values above 0')
      .refine(
        (std) => [std].flat().every((value) => value <= 1),
        `expected values up to 1, ${ofShares}`,
      )
      .optional()
      .describe('With `mean`. A number above 0 and at most 1, or one for each channel.'),
    scale: channelNumbers
      .refine(
        (scale) => [scale].flat().every((value) => value !== 0),
        'expected values other than 0',
      )
      .optional()
      .describe(
        'In place of `mean` and `std`: floats are pixel × scale + offset, with a scale of 1 and an offset of 0 if unset. A number other than 0, or one for each channel.',
      ),
    offset: channelNumbers
      .optional()
      .describe('With `scale`, or alone. A number, or one for each channel.'),
  })
  .superRefine((input, context) => {
    for (const [key, message] of faultsOf(input)) {
      context.addIssue({ code: 'custom', path: [key], message, input: input[key] });
    }
  });

export type ImageInput = z.output<typeof imageInputSchema>;
type Fault = readonly [key: keyof ImageInput, message: string];

const scalings = ['mean', 'std', 'scale', 'offset'] as const;

/** Names the keys that do not go together. */
function faultsOf(input: ImageInput): readonly Fault[] {
  return [...faultsOfScaling(input), ...faultsOfResize(input)];
}

function faultsOfScaling(input: ImageInput): readonly Fault[] {
  const { tensor, mean, std, channels } = input;
  const given = scalings.filter((key) => input[key] !== undefined);
  const [first] = given;
  if (tensor.startsWith('uint8')) {
    if (first === undefined) return [];
    return [[first, `expected none with tensor ${tensor}, whose pixels stay as they are`]];
  }
  const hasMean = mean !== undefined || std !== undefined;
  const hasScale = input.scale !== undefined || input.offset !== undefined;
  if (!hasMean && !hasScale) {
    const remedy = 'For pixels from 0 to 255 as floats, set scale: 1';
    return [['mean', `expected mean and std, or scale and offset, with ${tensor}. ${remedy}`]];
  }
  if (hasMean && hasScale) {
    return [[given.at(-1) ?? 'scale', 'expected mean and std, or scale and offset, but not both']];
  }
  if (hasMean && (mean === undefined || std === undefined)) {
    return [[mean === undefined ? 'mean' : 'std', 'expected mean and std together']];
  }
  if (channels !== 'grey') return [];
  return given
    .filter((key) => Array.isArray(input[key]))
    .map((key) => [key, 'expected one number, since channels is grey'] as const);
}

function faultsOfResize(input: ImageInput): readonly Fault[] {
  const { resize, width, height, shorterSide } = input;
  const faults: Fault[] = [];
  if (input.cropFraction !== undefined && resize !== 'stretch') {
    const remedy =
      'A square that is cut out after resizing is shorterSide, such as 256 for a fraction of 0.875 and a side of 224';
    faults.push(['cropFraction', `expected none with resize: ${resize}. ${remedy}`]);
  }
  if ((shorterSide !== undefined) !== (resize === 'shorter-side')) {
    faults.push(['shorterSide', 'expected a number with resize: shorter-side, and only there']);
  } else if (shorterSide !== undefined && shorterSide < Math.max(width, height)) {
    faults.push(['shorterSide', 'expected at least width and height, which are cut out of it']);
  }
  for (const key of ['padding', 'position'] as const) {
    if (input[key] === undefined || resize === 'letterbox') continue;
    faults.push([key, 'expected none without resize: letterbox']);
  }
  if (!input.antialias && input.interpolation !== 'bilinear') {
    faults.push(['antialias', 'expected true, unless interpolation is bilinear']);
  }
  return faults;
}

/** How many numbers a pixel has. */
export function channelsOf({ channels }: Pick<ImageInput, 'channels'>): number {
  return channels === 'grey' ? 1 : 3;
}

/** The shape of the pixels that the API makes, without the rows. */
export function pixelShape(input: ImageInput): readonly number[] {
  return [input.height, input.width, channelsOf(input)];
}

/** The tensor that the network takes, without the rows. */
export function imageTensor(input: ImageInput) {
  const { height, width, tensor } = input;
  const [numbers, layout] = tensor.split('-') as ['uint8' | 'float32' | 'float16', string];
  const datatype = ({ uint8: 'UINT8', float32: 'FP32', float16: 'FP16' } as const)[numbers];
  const isPlanar = layout === 'nchw';
  return { datatype, inner: isPlanar ? [channelsOf(input), height, width] : pixelShape(input) };
}

/** Returns what a channel of a pixel becomes, by its position in `channels`. */
export function scalingOf(input: ImageInput, channel: number): (pixel: number) => number {
  const of = (numbers: ImageInput['mean'], otherwise: number): number =>
    (Array.isArray(numbers) ? numbers[channel] : numbers) ?? otherwise;
  if (input.mean !== undefined) {
    const [mean, std] = [of(input.mean, 0), of(input.std, 1)];
    return (pixel) => (pixel / 255 - mean) / std;
  }
  const [scale, offset] = [of(input.scale, 1), of(input.offset, 0)];
  return (pixel) => pixel * scale + offset;
}
