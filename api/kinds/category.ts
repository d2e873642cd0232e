// The categories of a column: a model answers to no others.

import { ScorelineError } from '../../shared/errors.js';
import type { Cell, Column } from '../../shared/manifest/table.js';
import { shown } from '../../shared/shown.js';
import { showName } from '../../shared/tensors/network.js';

/** How many categories a message names. */
const namesMax = 10;

export function isKnown({ categories, missing }: Column, value: Cell): boolean {
  const known: readonly Cell[] | undefined = categories;
  return known === undefined || known.includes(value) || value === missing;
}

/** @param where it stands, as in ` at row 3` */
export function unknownCategory(
  { name, categories = [] }: Column,
  value: Cell,
  where = '',
): ScorelineError {
  const others = categories.length > namesMax ? ', …' : '';
  const known = categories
    .slice(0, namesMax)
    .map((category) => shown(category))
    .join(', ');
  return new ScorelineError(
    'input_invalid',
    `Expected the column ${showName(name)} to be one of the ${categories.length} categories that the model knows, ${known}${others}; got ${shown(value)}${where}.`,
  );
}
