// Reads what a person typed for a tensor: its shape, and its elements in JSON.

import type { Datatype, Tensor } from '../../../client/client.js';

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
    value = JSON.parse(text.trim().startsWith('[') ? text : `[${text}]`);
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

function checkElement(datatype: Datatype): { what: string; isOne: (value: unknown) => boolean } {
  if (datatype === 'BYTES') return { what: 'texts', isOne: (value) => typeof value === 'string' };
  if (datatype === 'BOOL') {
    return { what: 'true or false', isOne: (value) => typeof value === 'boolean' };
  }
  if (datatype.startsWith('FP')) {
    return { what: 'numbers', isOne: (value) => typeof value === 'number' };
  }
  const bits = Number(datatype.replace(/\D+/, ''));
  const isUnsigned = datatype.startsWith('U');
  // Larger whole numbers are not exact in JavaScript.
  const max = Math.min(2 ** (isUnsigned ? bits : bits - 1) - 1, Number.MAX_SAFE_INTEGER);
  const min = isUnsigned ? 0 : Math.max(-(2 ** (bits - 1)), Number.MIN_SAFE_INTEGER);
  return {
    what: `whole numbers from ${min} to ${max}`,
    isOne: (value) =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
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
