// The form of a row of a table, for the description of the service: what table.ts accepts.

import { z } from 'zod';
import { isLonger } from '../../shared/characters.js';
import type { Block, Cell, Column } from '../../shared/manifest/table.js';
import type { Datatype } from '../../shared/tensors/tensors.js';
import { elementSchemas, finiteSchemas } from '../inference/element-schema.js';

export const textCharactersMax = 20_000;

/**
 * Describes a row.
 * @param blocks where the columns go; none if the manifest does not declare the network
 */
export function rowSchema(columns: readonly Column[], blocks: readonly Block[]): z.ZodType {
  const datatypes = new Map(
    blocks.flatMap((block) => block.columns.map(({ name }) => [name, block.datatype] as const)),
  );
  const cells = columns.map((column) => [
    column.name,
    cellSchema(column, datatypes.get(column.name)),
  ]);
  return z
    .strictObject(Object.fromEntries(cells))
    .refine((row) => Object.keys(row).length > 0)
    .meta({ minProperties: 1 })
    .describe('A value for each column of the table.');
}

function cellSchema(column: Column, taken: Datatype | undefined): z.ZodType {
  const { missing } = column;
  const value = valueSchema(column, taken);
  if (missing === undefined) return value;
  return value.nullish().describe(`If it is missing or null, the network gets \`${missing}\`.`);
}

function valueSchema({ datatype, categories, missing }: Column, taken?: Datatype): z.ZodType {
  if (!categories) {
    return datatype === 'number' ? z.union([numberSchema(taken), z.boolean()]) : textSchema;
  }
  // In place of nothing, clients may also send what the network gets for it.
  const values: (Cell | boolean)[] = [...categories];
  if (typeof missing === (datatype === 'number' ? 'number' : 'string'))
    values.push(missing as Cell);
  const booleans = [false, true].filter((boolean) => values.includes(Number(boolean)));
  return z.literal([...new Set([...values, ...booleans])]);
}

/** Texts may have no half characters, either, which JSON Schema cannot say. */
const textSchema = (elementSchemas.BYTES as z.ZodString)
  .meta({ maxLength: textCharactersMax })
  .refine((text) => text.isWellFormed() && !isLonger(text, textCharactersMax));

function numberSchema(taken: Datatype = 'FP64'): z.ZodType {
  if (taken === 'FP32' || taken === 'FP64') return finiteSchemas[taken];
  // JSON rounds larger ones.
  if (taken === 'INT64')
    return z
      .int()
      .gt(-(2 ** 53))
      .lt(2 ** 53);
  if (taken === 'UINT64')
    return z
      .int()
      .min(0)
      .lt(2 ** 53);
  return elementSchemas[taken];
}
