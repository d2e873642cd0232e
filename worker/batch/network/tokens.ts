// Puts a tokenizer before the engine of a network that takes tokens. Clients, and the parts before it, see a model that
// takes texts.
//
// All texts of a batch are padded to the longest, so texts of every length share a run.

import { isOpen } from '../../../shared/tensors/network.js';
import { decodeStrings, encodeStrings, type Tensor } from '../../../shared/tensors/tensors.js';
import type { Engine, TensorValue } from '../../engine/engine.js';
import { UnfitNetwork } from './network.js';
import type { TextTokenizer, Tokens } from './tokenizer.js';

/** Which part of a text an input of the network takes. */
type Role = 'text' | 'ids' | 'mask' | 'types' | 'positions';

const roles: Readonly<Record<string, Role>> = {
  input_ids: 'ids',
  attention_mask: 'mask',
  input_mask: 'mask',
  token_type_ids: 'types',
  segment_ids: 'types',
  position_ids: 'positions',
};

interface Place {
  readonly role: Role;
  readonly value: TensorValue;
}

/** Runs a network that takes tokens. */
export type TokensRunner = Pick<Engine, 'inputs' | 'run'>;

/** @throws UnfitNetwork if the network does not take tokens, or takes something else besides */
export function withTokens<Runner extends TokensRunner>(
  engine: Runner,
  tokenizer: TextTokenizer,
): Runner {
  const places = placesOf(engine.inputs);
  const fixed = widthOf(places);
  if (fixed !== undefined && fixed < tokenizer.tokensMax) {
    throw new UnfitNetwork(
      `${tokenizer.tokensMax} tokens or more, as input.tokensMax says`,
      engine.inputs,
      'Lower tokensMax.',
    );
  }
  const text = places.find(({ role }) => role === 'text')?.value.name ?? 'text';
  return {
    ...engine,
    inputs: [{ name: text, datatype: 'BYTES', type: 'string', shape: ['N'] }],
    run: async ([texts]: readonly Tensor[], outputNames: readonly string[]) => {
      const rows = decodeStrings((texts as Tensor).data);
      const tokens = await tokenizer.encode(rows);
      const width = fixed ?? Math.max(...tokens.map(({ ids }) => ids.length));
      const batch = places.map((place) => fill(place, { rows, tokens, width, tokenizer }));
      return engine.run(batch, outputNames);
    },
  };
}

/** Whether a network takes tokens of texts. */
export function takesTokens(values: readonly TensorValue[]): boolean {
  const places = values.map(roleOf);
  return places.includes('ids') && places.every((role) => role !== undefined);
}

function placesOf(values: readonly TensorValue[]): Place[] {
  const places = values.map((value) => ({ value, role: roleOf(value) }));
  if (takesTokens(values)) return places as Place[];
  throw new UnfitNetwork(
    'the inputs of a network that takes tokens: input_ids, and attention_mask, token_type_ids and position_ids if it needs them, each int64[N,tokens] or int32[N,tokens]',
    values,
    'Export it with these names, or leave out source.tokenizer if it takes texts.',
  );
}

function roleOf({ name, datatype, shape }: TensorValue): Role | undefined {
  if (datatype === 'BYTES') return shape.length === 1 ? 'text' : undefined;
  const isNumbers = (datatype === 'INT64' || datatype === 'INT32') && shape.length === 2;
  return isNumbers ? roles[name.replace(/:0$/, '')] : undefined;
}

/** Returns the number of tokens that the network always takes, if it does not take any. */
function widthOf(places: readonly Place[]): number | undefined {
  const widths = places
    .map(({ value }) => value.shape[1])
    .filter((size): size is number => typeof size === 'number' && !isOpen(size));
  return widths.length > 0 ? Math.min(...widths) : undefined;
}

interface Filling {
  readonly rows: readonly string[];
  readonly tokens: readonly Tokens[];
  readonly width: number;
  readonly tokenizer: TextTokenizer;
}

function fill({ role, value }: Place, { rows, tokens, width, tokenizer }: Filling): Tensor {
  const { name } = value;
  if (role === 'text') {
    return { name, datatype: 'BYTES', shape: [rows.length], data: encodeStrings(rows) };
  }
  const { id, typeId, isLeft } = tokenizer.padding;
  const numbers = new Int32Array(rows.length * width);
  if (role === 'ids') numbers.fill(id);
  if (role === 'types') numbers.fill(typeId);
  for (const [row, { ids, types }] of tokens.entries()) {
    const from = row * width + (isLeft ? width - ids.length : 0);
    if (role === 'ids') numbers.set(ids, from);
    else if (role === 'types') numbers.set(types, from);
    else if (role === 'mask') numbers.fill(1, from, from + ids.length);
    else for (let at = 0; at < ids.length; at++) numbers[from + at] = at;
  }
  const { buffer } = value.datatype === 'INT64' ? toBigInts(numbers) : numbers;
  const datatype = value.datatype === 'INT64' ? 'INT64' : 'INT32';
  return { name, datatype, shape: [rows.length, width], data: new Uint8Array(buffer) };
}

function toBigInts(numbers: Int32Array): BigInt64Array {
  const big = new BigInt64Array(numbers.length);
  // The lower word of each; ids are not negative.
  const words = new Int32Array(big.buffer);
  for (let at = 0; at < numbers.length; at++) words[2 * at] = numbers[at] as number;
  return big;
}

/** Whether an input of the network says which tokens are text and which are padding. */
export function isMask(name: string): boolean {
  return roles[name.replace(/:0$/, '')] === 'mask';
}
