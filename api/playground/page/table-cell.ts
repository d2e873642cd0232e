// Checks what a person typed for a column of a table. A text is sent as it was typed, with its blanks, and an empty
// one is a text, too. A number may have blanks around it, and an empty cell has no number.

import type { Models } from '../../../client/client.js';

type TableInput = Extract<Models['models'][number]['input'], { kind: 'table' }>;
export type Column = TableInput['columns'][number];

export type Checked =
  | { readonly value: string | number | null }
  /** What is wrong, for the person who types. */
  | { readonly fault: string };

export function checkCell(column: Column, typed: string): Checked {
  return column.datatype === 'number'
    ? checkNumber(column, typed.trim())
    : checkCategory(column, typed, typed);
}

function checkNumber(column: Column, typed: string): Checked {
  if (typed === '') {
    return column.missing === undefined ? { fault: 'Expected a number' } : { value: null };
  }
  const value = Number(typed);
  if (!(isDecimal(typed) && Number.isFinite(value))) {
    return { fault: `Expected a number, such as 3.5; got ${shorten(typed)}` };
  }
  if (isRounded(typed, value)) {
    return { fault: `Expected a number that is not rounded; ${typed} would be ${value}` };
  }
  return checkCategory(column, value, typed);
}

function checkCategory(column: Column, value: string | number, typed: string): Checked {
  const categories: readonly (string | number)[] | undefined = column.categories;
  if (!categories || categories.includes(value)) return { value };
  const known = categories.slice(0, 5).map(showCategory).join(', ');
  return { fault: `Expected one of ${known}; got ${shorten(typed)}` };
}

/** In quotes if nobody would see what it is: an empty text, or one with blanks that a browser leaves out. */
export function showCategory(category: string | number): string {
  const text = String(category);
  return /^\S+( \S+)*$/.test(text) ? text : JSON.stringify(text);
}

/** `Number` would also take 0x10. */
function isDecimal(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
}

/** JavaScript rounds whole numbers beyond 2 ** 53. */
function isRounded(text: string, value: number): boolean {
  return /^[+-]?\d+$/.test(text) && BigInt(text.replace('+', '')) !== BigInt(value);
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 20 ? `${text.slice(0, 20)}…` : text);
}
