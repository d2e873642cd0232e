// The ids of items.
//
// An item may have several rows, and then its id ends in their number, as in "…*32". All who count
// items count rows: the batcher, admission, autoscaling. Some of them have nothing but the id, such as
// a worker that must fail a job it cannot read.

const ending = /\*([1-9]\d{0,5})$/;

/** Makes the id of an item. */
export function makeItemId(base: string, rows: number): string {
  return rows === 1 ? base : `${base}*${rows}`;
}

/** Returns how many rows the item with this id has. */
export function rowsOfItem(id: string): number {
  // Most items have one row, and their ids are compared often.
  if (!id.includes('*')) return 1;
  return Number(ending.exec(id)?.[1] ?? 1);
}

/** Returns how many rows the items with these ids have together. */
export function countRowsOf(items: readonly { readonly id: string }[]): number {
  let rows = 0;
  for (const { id } of items) rows += rowsOfItem(id);
  return rows;
}

/** Returns the members that stand for items in a set whose size is the number of their rows. */
export function membersOf(ids: readonly string[]): string[] {
  const members: string[] = [];
  for (const id of ids) {
    const rows = rowsOfItem(id);
    members.push(id);
    for (let row = 1; row < rows; row++) members.push(`${id}+${row}`);
  }
  return members;
}
