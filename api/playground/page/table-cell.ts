// Checks what a person typed for a column of a table.

import type { Models } from '../../../client/client.js';

type TableInput = Extract<Models['models'][number]['input'], { kind: 'table' }>;
export type Column = TableInput['columns'][number];

export type Checked =
  | { readonly value: string | number | null }
  /** What is wrong, for the person who types. */
  | { readonly fault: string };

export function checkCell(column: Column, text: string): Checked {
  const { datatype, missing } = column;
  const typed = text.trim();
  if (typed === '') {
    if (missing !== undefined) return { value: null };
    return { fault: datatype === 'number' ? 'Expected a number' : 'Expected a value' };
  }
  const value = datatype === 'number' ? Number(typed) : typed;
  if (typeof value === 'number' && !(isDecimal(typed) && Number.isFinite(value))) {
    return { fault: `Expected a number, such as 3.5; got ${shorten(typed)}` };
  }
  const categories: readonly unknown[] | undefined = column.categories;
  if (categories && !categories.includes(value)) {
    return { fault: `Expected one of ${categories.slice(0, 5).join(', ')}; got ${shorten(typed)}` };
  }
  return { value };
}

/** `Number` would also take 0x10. */
function isDecimal(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 20 ? `${text.slice(0, 20)}…` : text);
}
