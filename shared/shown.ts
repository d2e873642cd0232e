import { showName } from './tensors/network.js';

/**
 * Returns a value as messages show it: texts in quotes and cut to so many characters, and only the type of lists and
 * objects. JSON would make null of numbers that are infinite.
 */
export function shown(value: unknown, charactersMax = 60): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'string' ? showName(value, charactersMax) : String(value);
}
