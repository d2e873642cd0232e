// Shows the inputs and outputs of a network, as the messages of `models add` do.

import { listed } from '../../../shared/listed.js';
import { isOpen, showName } from '../../../shared/tensors/network.js';
import type { TensorValue } from '../../../worker/engine/engine.js';

/** How many inputs or outputs a message names. */
const shownMax = 8;

export function show({ name, type, datatype, shape }: TensorValue): string {
  if (datatype === undefined) return showPlain(name);
  return `${showPlain(name)}: ${type}[${shape.map((size) => (isOpen(size) ? showPlain(String(size || -1)) : size))}]`;
}

/** Shows some of many values. */
export function listOf(values: readonly TensorValue[]): string {
  return listed(values.map(show), shownMax);
}

/** A file may name its values as it likes, also with line breaks and the codes of a terminal. */
function showPlain(name: string): string {
  return /^[\w./:-]{1,60}$/.test(name) ? name : showName(name).replaceAll(/\p{C}/gu, '?');
}
