// Layouts: the names, datatypes and shapes of an item's tensors, without their data.
//
// Most items of a job have the same layout, and so do most replies. So a message holds each layout
// once, and its items refer to it by index. Repeated for each item, names and shapes would be
// longer than a short text, and would take longer to parse.

import { z } from 'zod';
import { datatypes, type Tensor, type TensorHead } from '../tensors/tensors.js';

export type Layout = readonly TensorHead[];

/** Does not check the sizes in shapes: `checkTensor` does, item by item. */
export const layoutsSchema = z.array(
  z.array(z.object({ name: z.string(), datatype: z.enum(datatypes), shape: z.array(z.number()) })),
);

/** Collects the distinct layouts of a message. */
export class Layouts {
  readonly list: Layout[] = [];
  /**
   * The index of the layout found last, which is tried first: most items are like the one before.
   */
  #last = 0;

  /** Returns the index in `list` of these tensors' layout, which is added if it is new. */
  indexOf(tensors: readonly Tensor[]): number {
    const last = this.list[this.#last];
    if (last && isLike(last, tensors)) return this.#last;
    const known = this.list.findIndex((layout) => isLike(layout, tensors));
    this.#last = known >= 0 ? known : this.list.push(tensors.map(headOf)) - 1;
    return this.#last;
  }
}

/** Joins a layout and data into an item's tensors. Returns undefined if their lengths differ. */
export function layOut<D>(
  layout: Layout | undefined,
  data: readonly D[],
): (TensorHead & { readonly data: D })[] | undefined {
  if (layout?.length !== data.length) return undefined;
  return layout.map(({ name, datatype, shape }, index) => ({
    name,
    datatype,
    shape,
    data: data[index] as D,
  }));
}

function headOf({ name, datatype, shape }: Tensor): TensorHead {
  return { name, datatype, shape };
}

function isLike(layout: Layout, tensors: readonly Tensor[]): boolean {
  if (layout.length !== tensors.length) return false;
  for (let index = 0; index < layout.length; index++) {
    const head = layout[index] as TensorHead;
    const { name, datatype, shape } = tensors[index] as Tensor;
    if (head.name !== name || head.datatype !== datatype) return false;
    if (head.shape.length !== shape.length) return false;
    for (let at = 0; at < shape.length; at++) if (head.shape[at] !== shape[at]) return false;
  }
  return true;
}
