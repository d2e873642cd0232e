// Guesses what goes into a network by its inputs: a text, a picture, the columns of a table.

import { isOpen } from '../../../shared/tensors/network.js';
import { takesTokens } from '../../../worker/batch/network/tokens.js';
import type { TensorValue, Values } from '../../../worker/engine/engine.js';
import type { Fault } from './answer-guess.js';
import { type Column, type Hints, isColumns, type Kind, type Remarks, type Told } from './hints.js';
import { type Section, sectionOf, setsPixels } from './settings.js';
import { listOf, show } from './shown-values.js';

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const tokensMaxDefault = 512;

/** What is guessed of an input. */
export interface Given {
  readonly section: Section;
  readonly remarks: Remarks;
  readonly tokenizer?: string | undefined;
}

export const tokenizerRemedy = 'To send texts: --tokenizer FILE';

export function givenBy({ input }: Told, { inputs }: Values, hints: Hints): Given | Fault {
  if (isColumns(input.columns)) {
    return tableOf(input.columns, inputs, { names: hints.columns, why: 'as its exporter says' });
  }
  // What the exporter says goes before the files beside the network.
  const own = { ...hints, preparation: undefined };
  const remarks: Remarks = input.kind === 'image' ? [['pixels', sayPixels(input, own)]] : [];
  return { section: input, remarks };
}

export function inputOf(kind: Kind, { inputs }: Values, hints: Hints): Given | Fault {
  if (kind === 'text')
    return takesTokens(inputs) ? tokensOf(inputs, hints) : { section: { kind }, remarks: [] };
  if (kind === 'image') return imageOf(inputs, hints);
  const columns = inputs.flatMap(columnsOf);
  const why =
    columns.length > inputs.length
      ? 'numbered, since the file does not name the columns of a matrix'
      : 'the names of the inputs';
  return tableOf(columns, inputs, { names: hints.columns, why });
}

function tokensOf(
  inputs: readonly TensorValue[],
  { companions: { tokenizer, tokensMax } }: Hints,
): Given | Fault {
  if (tokenizer === undefined) {
    return {
      fault: `expected the tokenizer.json of the network, since its inputs are tokens: ${listOf(inputs)}. ${tokenizerRemedy}`,
    };
  }
  const [width = tokensMaxDefault] = inputs.map(({ shape }) => sizeOf(shape[1])).filter(Boolean);
  const isFixed = inputs.some(({ shape }) => sizeOf(shape[1]) !== undefined);
  const said = tokensMax && (!isFixed || tokensMax.tokens <= width) ? tokensMax : undefined;
  const tokens = said?.tokens ?? width;
  const why = said
    ? `as ${said.file} says`
    : isFixed
      ? 'as the network takes'
      : 'as BERT has them, since no file beside it says';
  return {
    section: { kind: 'text', tokensMax: tokens },
    remarks: [['tokens', `at most ${tokens} of a text, ${why}. Others: --set input.tokensMax=N`]],
    tokenizer,
  };
}

export function imageOf(
  inputs: readonly TensorValue[],
  hints: Hints,
  scaling?: Section,
): Given | Fault {
  const [only] = inputs;
  const picture = inputs.length === 1 && only ? pictureOf(only, hints, scaling) : undefined;
  if (!picture) {
    if (inputs.length === 1 && only && pictureOf(only, anySize)) {
      return {
        fault: `expected the size of the pictures; got ${show(only)}. Say it: ${sizeRemedy}`,
      };
    }
    return {
      fault: `expected one input of float32, float16 or uint8 for pictures, as [N,3,height,width] or [N,height,width,3], or with 1 in place of 3; got ${listOf(inputs)}. Serve it with --kind tensors`,
    };
  }
  return {
    section: { kind: 'image', ...picture },
    remarks: [['pixels', sayPixels(picture, hints, only)]],
  };
}

function sayPixels(
  { tensor, channels, mean, scale, resize }: Section,
  { settings, preparation }: Hints,
  input?: TensorValue,
): string {
  const [numbers = '', layout] = String(tensor).split('-');
  const order = layout === 'nchw' ? 'first' : 'last';
  const colours = channels === 'bgr' ? 'blue, green and red' : 'red, green and blue';
  const what = channels === 'grey' ? '1, so they are grey' : `3, so they are ${colours}`;
  const place =
    input && isOfTransformers(input.name, input.shape)
      ? `${tensor}, as transformers has pictures: ${colours}`
      : `${tensor}, since the ${order} size of a picture is ${what}`;
  if (setsPixels(sectionOf(settings, 'input')))
    return `${place}. They become numbers as --set says`;
  if (preparation && channels !== 'grey') {
    const { by, unlike } = preparation;
    const how = resize ? `, with resize: ${resize}` : '';
    const note =
      unlike === undefined
        ? ''
        : `. Only their size comes otherwise: ${unlike}. Choose the resize that is closest`;
    return `${place}. They become numbers${how}, as ${by}${note}`;
  }
  if (mean) {
    return `${place}. ${numbers} gets ImageNet's mean and std, as most networks with the channels first. From 0 to 1: --set input.scale=${1 / 255}; blue first: --set input.channels=bgr`;
  }
  if (scale === 1) {
    return `${place}. They stay from 0 to 255, which the network scales. From 0 to 1: --set input.scale=${1 / 255}`;
  }
  if (scale !== undefined) {
    return `${place}. They become 0 to 1. From -1 to 1: --set input.mean=0.5 --set input.std=0.5; from 0 to 255: --set input.scale=1`;
  }
  return `${place}. They stay from 0 to 255, since the network takes bytes`;
}

/** Makes a table of columns that have the names that the user gave, or their own, for the reason `why`. */
function tableOf(
  columns: readonly Column[],
  inputs: readonly TensorValue[],
  { names, why }: { names: readonly string[] | undefined; why: string },
): Given | Fault {
  const own = columns.map(({ name }) => name);
  if (names && names.length !== own.length) {
    return {
      fault: `--columns: expected ${own.length} names, one for each column of ${listOf(inputs)}; got ${names.length}`,
    };
  }
  // Columns differ in their categories and gaps, so a name at the place of another one would take these over.
  const moved = names?.find((name, at) => name !== own[at] && own.includes(name));
  if (moved !== undefined) {
    return {
      fault: `--columns: expected the columns in their order in the file, ${own.join(', ')}; got ${moved} at another place`,
    };
  }
  const named = columns.map((column, at) => ({ ...column, name: names?.[at] ?? column.name }));
  const reason = names ? 'as --columns says' : `${why}. Others: --columns NAME,NAME,…`;
  const gaps = columns.every(({ missing }) => missing === undefined)
    ? '. Gaps are refused, unless a column gets the key missing'
    : '';
  return {
    section: { kind: 'table', columns: named },
    remarks: [['columns', `${named.length}, ${reason}${gaps}`]],
  };
}

/** A matrix has a column for each of its numbers, which the file does not name. */
function columnsOf(input: TensorValue): Column[] {
  const datatype = input.datatype === 'BYTES' ? 'category' : 'number';
  const width = sizeOf(input.shape[1]) ?? 1;
  if (width === 1) return [{ name: input.name, datatype }];
  return Array.from({ length: width }, (_, at) => ({ name: `${input.name} ${at}`, datatype }));
}

/**
 * The numbers of pixels are guessed by the framework: networks of PyTorch have the channels first, and mostly
 * ImageNet's mean and deviation; those of Keras have them last. Detectors, as those of torchvision and YOLO, normalise
 * by themselves. Files of Ultralytics, transformers and timm say more. Those of transformers leave the channels open.
 */
export function pictureOf(
  { name, datatype, shape }: TensorValue,
  { settings, preparation: given }: Pick<Hints, 'settings' | 'preparation'>,
  wanted?: Section,
): Record<string, unknown> | undefined {
  const numbers = { FP32: 'float32', FP16: 'float16', UINT8: 'uint8' }[String(datatype)];
  const [, first = isOfTransformers(name, shape) ? 3 : 0, second = 0, third = 0] =
    shape.map(sizeOf);
  const layout = isChannels(third) ? 'nhwc' : isChannels(first) ? 'nchw' : undefined;
  if (shape.length !== 4 || !numbers || !layout) return undefined;
  const isPlanar = layout === 'nchw';
  const [high, wide, channels] = isPlanar ? [second, third, first] : [first, second, third];
  const set = sectionOf(settings, 'input');
  const preparation = channels === 3 ? given : undefined;
  const height = high || set.height || preparation?.height;
  const width = wide || set.width || preparation?.width;
  if (!height || !width) return undefined;
  const scaling =
    preparation?.pixels(Number(width), Number(height)) ??
    wanted ??
    (isPlanar && channels === 3 ? imagenet : { scale: 1 / 255 });
  return {
    ...{ width, height, tensor: `${numbers}-${layout}` },
    ...(channels === 1 && { channels: 'grey' }),
    ...(numbers !== 'uint8' && scaling),
  };
}

/** Its networks have the channels first, and leave their number open. */
function isOfTransformers(name: string, shape: TensorValue['shape']): boolean {
  return name === 'pixel_values' && isOpen(shape[1]);
}

/** Networks of convolutions may take pictures of any size. The manifest says which one they get. */
export const anySize = { settings: { input: { width: 1, height: 1 } }, preparation: undefined };
export const sizeRemedy = '--set input.width=640 --set input.height=640';

function isChannels(size: number): boolean {
  return size === 1 || size === 3;
}

/** Whether a value has one element in each row. */
export function isColumn({ shape }: TensorValue): boolean {
  const [, width = 1, ...others] = shape;
  return others.length === 0 && width === 1;
}

export function sizeOf(size: number | string | undefined): number | undefined {
  return typeof size === 'number' && size > 0 ? size : undefined;
}
