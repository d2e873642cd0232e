// Reads what a person typed for a tensor: its shape, and its elements in JSON.

import type { Datatype, Tensor } from '../../../client/client.js';
import { parseExactly } from '../../../shared/exact-json.js';

export interface Declared {
  readonly name: string;
  readonly datatype: Datatype;
  /** A size that varies is -1 or a name. */
  readonly shape: ReadonlyArray<number | string>;
}

export interface Typed {
  readonly shape: string;
  readonly data: string;
}

export type Read =
  | { readonly tensor: Tensor }
  | { readonly field: 'shape' | 'data'; readonly fault: string };

export function readTensor(declared: Declared, typed: Typed): Read {
  const shape = readShape(declared, typed.shape);
  if (typeof shape === 'string') return { field: 'shape', fault: shape };
  const data = readData(declared.datatype, typed.data);
  if (typeof data === 'string') return { field: 'data', fault: data };
  const expected = shape.reduce((product, size) => product * size, 1);
  if (data.length !== expected) {
    const fault = `Expected ${expected} elements, as the shape [${shape.join(', ')}] says; got ${data.length}`;
    return { field: 'data', fault };
  }
  const { name, datatype } = declared;
  return { tensor: { name, datatype, shape, data: data as readonly number[] } };
}

/** Returns the sizes, or what is wrong. */
function readShape({ shape: declared }: Declared, text: string): number[] | string {
  const words = text.trim() === '' ? [] : text.split(/[\s,x×]+/).filter((word) => word !== '');
  if (!words.every((word) => /^\d{1,9}$/.test(word))) {
    return 'Expected whole numbers with commas between, such as 1, 4';
  }
  const sizes = words.map(Number);
  const fits = (size: number, at: number) => {
    const own = declared[at];
    return typeof own !== 'number' || own < 0 || own === size;
  };
  if (sizes.length === declared.length && sizes.every(fits)) return sizes;
  return `Expected the shape [${declared.join(', ')}], where -1 and names are any size; got [${sizes.join(', ')}]`;
}

/** Returns the elements in one list, or what is wrong. */
function readData(datatype: Datatype, text: string): unknown[] | string {
  let value: unknown;
  try {
    value = parseData(datatype, text.trim().startsWith('[') ? text : `[${text}]`);
  } catch {
    const example = { BYTES: '["a", "b"]', BOOL: '[true, false]' }[datatype as string];
    return `Expected a list in JSON, such as ${example ?? '[1, 2.5, 3]'}`;
  }
  const elements = [value].flat(Number.POSITIVE_INFINITY);
  const expected = checkElement(datatype);
  const wrong = elements.find((each) => !expected.isOne(each));
  if (wrong === undefined) return elements;
  return `Expected ${expected.what} for ${datatype}; got ${JSON.stringify(wrong).slice(0, 30)}`;
}

/**
 * Parses the JSON of a tensor, or of its elements. Long whole numbers of 64 bits become strings of their digits, which
 * the service takes.
 */
export function parseData<Parsed>(datatype: Datatype | undefined, json: string): Parsed {
  return (isLarge(datatype) ? parseExactly(json) : JSON.parse(json)) as Parsed;
}

function isLarge(datatype: Datatype | undefined): boolean {
  return datatype === 'INT64' || datatype === 'UINT64';
}

function checkElement(datatype: Datatype): { what: string; isOne: (value: unknown) => boolean } {
  if (datatype === 'BYTES') return { what: 'texts', isOne: (value) => typeof value === 'string' };
  if (datatype === 'BOOL') {
    return { what: 'true or false', isOne: (value) => typeof value === 'boolean' };
  }
  if (datatype.startsWith('FP')) {
    // JSON has no word for those in quotes, and makes an infinity of a number that is too large.
    const words: readonly unknown[] = ['NaN', 'Infinity', '-Infinity'];
    return {
      what: 'numbers',
      isOne: (value) => Number.isFinite(value) || words.includes(value),
    };
  }
  const bits = BigInt(datatype.replace(/\D+/, ''));
  const isUnsigned = datatype.startsWith('U');
  const max = 2n ** (isUnsigned ? bits : bits - 1n) - 1n;
  const min = isUnsigned ? 0n : -max - 1n;
  const isWhole = (value: unknown) =>
    Number.isSafeInteger(value) || (isLarge(datatype) && /^-?\d{1,20}$/.test(String(value)));
  return {
    what: `whole numbers from ${min} to ${max}`,
    isOne: (value) => {
      if (!isWhole(value)) return false;
      const number = BigInt(value as number | string);
      return number >= min && number <= max;
    },
  };
}

/** Writes what can be typed for a tensor, before there is an example: zeros, or empty texts. */
export function blankOf({ datatype, shape }: Declared): Typed {
  const sizes = shape.map((size) => (typeof size === 'number' && size >= 0 ? size : 1));
  const count = Math.min(
    sizes.reduce((product, size) => product * size, 1),
    100_000,
  );
  const one = { BYTES: '""', BOOL: 'false' }[datatype as string] ?? '0';
  return { shape: sizes.join(', '), data: `[${Array(count).fill(one).join(', ')}]` };
}
