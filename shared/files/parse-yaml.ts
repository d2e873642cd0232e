// Parses YAML that a person wrote. An alias stands for a value that is elsewhere in the text, which may hold aliases in
// turn. So the value of a text of some lines can have any size once it is walked or shown, or no end.

import { load, YAMLException } from 'js-yaml';
import { findAlias } from './yaml-lines.js';

/** How many characters and values aliases may add to a text. */
export const aliasedMax = 100_000;
/** How deep values may be within each other. Without aliases, the library stops at 100. */
const depthMax = 200;

/** @throws YAMLException also when aliases stand for far more than the text has */
export function parseYaml(text: string): unknown {
  const value = load(text);
  if (sizeOf(value) > text.length + aliasedMax) {
    const message = `aliases that stand for more than ${aliasedMax} characters, or for themselves`;
    YAMLException.throwAt(text, findAlias(text) ?? 0, message);
  }
  return value;
}

/** Counts the characters and values of a value, those of an alias each time. It looks at each value once. */
function sizeOf(value: unknown, sizes = new Map<object, number>(), depth = 0): number {
  if (typeof value === 'string') return 1 + value.length;
  if (typeof value !== 'object' || value === null) return 1;
  const known = sizes.get(value);
  if (known !== undefined) return known;
  if (depth > depthMax) return Number.POSITIVE_INFINITY;
  // Until it is known, a value has no end: it may be within itself.
  sizes.set(value, Number.POSITIVE_INFINITY);
  let size = 1;
  for (const [key, inner] of Object.entries(value)) {
    size += sizeOf(inner, sizes, depth + 1);
    if (!Array.isArray(value)) size += key.length;
  }
  sizes.set(value, size);
  return size;
}
