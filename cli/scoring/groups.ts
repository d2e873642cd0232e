// Groups of inputs that share a request. A request costs more than a row or a short text does.

import type { CommandInput } from './inputs.js';

/** A group this long gets no further input. */
const groupBytesMax = 1_000_000;

export async function* makeGroups(
  inputs: AsyncIterable<CommandInput>,
  countMax: number,
): AsyncGenerator<readonly CommandInput[]> {
  let group: CommandInput[] = [];
  let bytes = 0;
  for await (const input of inputs) {
    group.push(input);
    bytes += input.body.length;
    if (group.length < countMax && bytes < groupBytesMax) continue;
    yield group;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield group;
}
