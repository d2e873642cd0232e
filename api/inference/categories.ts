// The categories of tensors that are the columns of a table. A network may have an answer to others: skl2onnx and our
// exporters count them as missing, where the original refuses them.

import type { Manifest } from '../../shared/manifest/manifest.js';
import type { Network } from '../../shared/manifest/network.js';
import { type Cell, type Column, placeColumns } from '../../shared/manifest/table.js';
import { type Datatype, type Tensor, visitStrings } from '../../shared/tensors/tensors.js';
import { unknownCategory } from '../kinds/category.js';
import { numbersOf } from './json-tensor.js';

interface Known {
  /** The input of the network. */
  readonly name: string;
  readonly columns: readonly Column[];
  /** What each column may have; undefined for anything. */
  readonly values: readonly (ReadonlySet<Cell> | undefined)[];
}
const knownOf = new WeakMap<Network, readonly Known[]>();

/** @throws ScorelineError `input_invalid` */
export function checkCategories(
  { input }: Manifest,
  network: Network,
  tensors: readonly Tensor[],
): void {
  if (input.kind !== 'table') return;
  const known = knownOf.get(network) ?? listKnown(input.columns, network);
  knownOf.set(network, known);
  for (const each of known) {
    const tensor = tensors.find(({ name }) => name === each.name);
    if (tensor) checkValues(tensor, each);
  }
}

function listKnown(columns: readonly Column[], { inputs }: Network): Known[] {
  return placeColumns(columns, inputs)
    .map(({ name, datatype, columns: placed }) => ({
      name,
      columns: placed,
      values: placed.map(({ categories, missing }) => {
        const values: Cell[] = [...(categories ?? []), ...(missing === undefined ? [] : [missing])];
        return categories && new Set(values.map((value) => asIn(datatype, value)));
      }),
    }))
    .filter(({ values }) => values.some(Boolean));
}

/** Returns a value as a tensor has it. */
function asIn(datatype: Datatype, value: Cell): Cell {
  if (datatype === 'BYTES') return value;
  return datatype === 'FP32' ? Math.fround(Number(value)) : Number(value);
}

function checkValues({ datatype, data }: Tensor, { columns, values }: Known): void {
  const check = (value: Cell, at: number) => {
    const place = at % columns.length;
    if (values[place]?.has(value) !== false) return;
    const row = Math.floor(at / columns.length);
    throw unknownCategory(columns[place] as Column, value, ` at row ${row}`);
  };
  let at = 0;
  if (datatype === 'BYTES') {
    visitStrings(data, (bytes, start, end) => check(bytes.toString('utf8', start, end), at++));
  } else {
    const numbers = numbersOf(datatype, data);
    for (; at < numbers.length; at++) check(Number(numbers[at]), at);
  }
}
