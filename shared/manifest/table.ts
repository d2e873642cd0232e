// Tables: rows of named columns, and where each column goes in the inputs of a network.
//
// A pipeline of scikit-learn is exported with an input for each column, or with one matrix, or with a
// matrix for each group of columns. Inputs for single columns are found by name. skl2onnx writes such
// a name with underscores: `mean radius` becomes `mean_radius`. The columns of matrices have no names
// in the file, so they are in the order of the manifest.

import { z } from 'zod';
import { isOpen, type NetworkValue, showName, showValue } from '../tensors/network.js';
import {
  type Datatype,
  elementBytes,
  encodeStrings,
  numberArrays,
  type Tensor,
} from '../tensors/tensors.js';

const numberColumnSchema = columnSchema(
  'number',
  z.number(),
  z.union([z.number(), z.literal('NaN')], 'expected a number or NaN'),
);
const categoryColumnSchema = columnSchema(
  'category',
  z.string(),
  z
    .string()
    .refine(
      (text) => text !== 'NaN',
      'expected the text that stands for a missing category, such as "" or "<missing>"; NaN is for numbers',
    ),
);

function columnSchema<Datatype extends string, Value extends z.ZodType, Missing extends z.ZodType>(
  datatype: Datatype,
  value: Value,
  missing: Missing,
) {
  return z.strictObject({
    name: z.string().min(1).max(200).describe('The name that clients use.'),
    datatype: z.literal(datatype).describe('A `category` is a text of at most 20,000 characters.'),
    categories: z
      .array(value)
      .min(1)
      .max(10_000)
      .optional()
      .describe(
        'The values that the model knows, numbers or texts as the datatype says. Others are refused. If unset, any value goes to the network.',
      ),
    // YAML's .nan is a number, which JSON has no word for.
    missing: z
      .preprocess((value) => (Number.isNaN(value) ? 'NaN' : value), missing)
      .optional()
      .describe(
        'What the network gets if the value is `null` or left out, such as `NaN` for a pipeline that imputes. If unset, such a row is refused.',
      ),
  });
}

export const tableInputSchema = z.strictObject({
  kind: z.literal('table'),
  columns: z
    .array(z.discriminatedUnion('datatype', [numberColumnSchema, categoryColumnSchema]))
    .min(1)
    .max(10_000)
    .refine((columns) => new Set(columns.map(({ name }) => name)).size === columns.length, {
      message: 'expected each name once',
    })
    .describe('The columns of a row. A matrix takes them in this order.'),
});

export type Column = z.output<typeof tableInputSchema>['columns'][number];
/** A value of a row as the network takes it. */
export type Cell = number | string;

/** An input of the network with the columns that it takes, in order. */
export interface Block {
  readonly name: string;
  readonly datatype: Datatype;
  /** Whether the shape is [rows, columns]; otherwise it is [rows], and there is one column. */
  readonly isMatrix: boolean;
  readonly columns: readonly Column[];
}

/** The columns of a manifest do not fit its network. */
export class UnfitColumns extends Error {
  /** Where in the list of columns. */
  readonly path: readonly PropertyKey[];

  constructor(expected: string, path: readonly PropertyKey[] = []) {
    super(`expected ${expected}`);
    this.path = path;
  }
}

/**
 * Places each column in an input of the network.
 * @throws UnfitColumns
 */
export function placeColumns(
  columns: readonly Column[],
  inputs: readonly NetworkValue[],
): readonly Block[] {
  const blocks = divide(columns, inputs);
  for (const { datatype, columns: placed, name } of blocks) {
    for (const column of placed) checkColumn(column, datatype, name, columns.indexOf(column));
  }
  return blocks;
}

/** Makes the tensor of one row for a block. `cells` are in the order of its columns. */
export function encodeBlock(block: Block, cells: readonly Cell[]): Tensor {
  const { name, datatype, isMatrix } = block;
  const shape = isMatrix ? [1, cells.length] : [1];
  return { name, datatype, shape, data: encodeCells(datatype, cells) };
}

/** Whether a datatype can hold a number. Fractions are rounded to the nearest float. */
export function holds(datatype: Datatype, number: number): boolean {
  if (datatype === 'FP64') return Number.isFinite(number);
  if (datatype === 'FP32') return Number.isFinite(Math.fround(number));
  const [low, high] = rangeOf(datatype);
  return Number.isInteger(number) && number >= low && number <= high;
}

/** Says which numbers a datatype can hold. */
export function describeNumbers(datatype: Datatype): string {
  if (datatype === 'FP64') return 'a number';
  if (datatype === 'FP32') return 'a number up to ±3.4e38';
  const [low, high] = rangeOf(datatype);
  return `a whole number from ${low} to ${high}`;
}

/**
 * Makes a row that the network probably takes: of the example, and otherwise of ones and of the first
 * categories.
 */
export function sampleRow(
  columns: readonly Column[],
  example: Readonly<Record<string, unknown>> = {},
): Record<string, Cell> {
  const sampleOf = ({ name, datatype, categories, missing }: Column): Cell => {
    const given = Object.hasOwn(example, name) ? example[name] : undefined;
    if (typeof given === 'number' || typeof given === 'string') return given;
    return categories?.[0] ?? (datatype === 'number' ? 1 : (missing ?? ''));
  };
  return Object.fromEntries(columns.map((column) => [column.name, sampleOf(column)]));
}

function divide(columns: readonly Column[], inputs: readonly NetworkValue[]): Block[] {
  const areSingle = inputs.every((input) => widthOf(input, 1) === 1);
  return areSingle && inputs.length > 1 && inputs.length === columns.length
    ? byName(columns, inputs)
    : inOrder(columns, inputs);
}

function byName(columns: readonly Column[], inputs: readonly NetworkValue[]): Block[] {
  const found = columns.map(
    (column) =>
      inputs.find(({ name }) => name === column.name) ??
      inputs.find((input) => isNamed(input, column)),
  );
  return inputs.map((input) => {
    const column = columns[found.indexOf(input)];
    if (!column) throw new UnfitColumns(`a column for the input ${showValue(input)}`);
    return toBlock(input, [column]);
  });
}

/** Gives each input as many columns as it is wide. A width that is open takes all that are left. */
function inOrder(columns: readonly Column[], inputs: readonly NetworkValue[]): Block[] {
  let at = 0;
  const blocks = inputs.map((input) => {
    const from = at;
    at += widthOf(input, columns.length - from);
    return toBlock(input, columns.slice(from, at));
  });
  if (at === columns.length) return blocks;
  throw new UnfitColumns(
    `${at} columns, as many as the network takes: ${inputs.map(showValue).join(', ')}`,
  );
}

function widthOf({ shape, name }: NetworkValue, left: number): number {
  if (shape.length === 1) return 1;
  if (shape.length === 2) return isOpen(shape[1]) ? left : Number(shape[1]);
  throw new UnfitColumns(
    `a network whose inputs have the shape [rows] or [rows, columns], unlike ${showName(name)}`,
  );
}

/** Whether an input has the name of a column as skl2onnx writes it. */
function isNamed({ name }: NetworkValue, column: Column): boolean {
  return name === column.name.replace(/[^\p{L}\p{N}_+]/gu, '_');
}

function toBlock(input: NetworkValue, columns: readonly Column[]): Block {
  const { name, datatype, shape } = input;
  if (datatype === undefined || datatype === 'BOOL' || datatype === 'FP16') {
    throw new UnfitColumns(
      `a network that takes strings, whole numbers, FP32 or FP64 in ${showName(name)}`,
    );
  }
  return { name, datatype, isMatrix: shape.length === 2, columns };
}

function checkColumn(
  { datatype, missing, categories = [] }: Column,
  taken: Datatype,
  input: string,
  at: number,
): void {
  const isText = taken === 'BYTES';
  const wanted = isText ? 'category' : 'number';
  if (datatype !== wanted) {
    throw new UnfitColumns(`${wanted}, since the input ${showName(input)} is ${taken}`, [
      at,
      'datatype',
    ]);
  }
  if (isText) return;
  const given = [...categories, ...(missing === undefined ? [] : [missing])];
  const isFloat = taken.startsWith('FP');
  const isFit = (cell: Cell) =>
    typeof cell === 'number' ? holds(taken, cell) : isFloat && cell === 'NaN';
  const unfit = given.findIndex((cell) => !isFit(cell));
  if (unfit < 0) return;
  throw new UnfitColumns(
    `${describeNumbers(taken)}, since the input ${showName(input)} is ${taken}`,
    unfit < categories.length ? [at, 'categories', unfit] : [at, 'missing'],
  );
}

/** The whole numbers that a datatype holds and JSON does not round. */
function rangeOf(datatype: Datatype): [low: number, high: number] {
  const bits = 8 * (elementBytes[datatype] ?? 0);
  const isSigned = !datatype.startsWith('U');
  const high = Math.min(2 ** (isSigned ? bits - 1 : bits) - 1, Number.MAX_SAFE_INTEGER);
  return [isSigned ? Math.max(-(2 ** (bits - 1)), Number.MIN_SAFE_INTEGER) : 0, high];
}

function encodeCells(datatype: Datatype, cells: readonly Cell[]): Uint8Array {
  if (datatype === 'BYTES') return encodeStrings(cells as string[]);
  if (datatype === 'INT64' || datatype === 'UINT64') {
    const whole = cells.map((cell) => BigInt(cell));
    return new Uint8Array(numberArrays[datatype].from(whole).buffer);
  }
  return new Uint8Array(numberArrays[datatype].from(cells as number[]).buffer);
}
