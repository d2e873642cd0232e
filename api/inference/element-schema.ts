// The elements of tensors in JSON, as json-tensor.ts reads and writes them, for the description of the service.

import { z } from 'zod';
import { type Datatype, datatypes } from '../../shared/tensors/tensors.js';

const special = z.enum(['NaN', 'Infinity', '-Infinity']);
const whole = (low: number, high: number) => z.int().min(low).max(high);
/** Numbers of 64 bits, whose limits are no safe integers. The upper one does not belong to them. */
const large = (low: number, end: number) =>
  z.number().min(low).lt(end).refine(Number.isInteger).meta({ type: 'integer' });
/** Rounding turns numbers beyond the limit into infinities. */
const finite = (limit: number) => z.number().gt(-limit).lt(limit);

/** The floats that are numbers. The limits are half of the way to the number that would come next. */
export const finiteSchemas = {
  FP16: finite(65_520),
  FP32: finite(2 ** 128 - 2 ** 103),
  FP64: z.number(),
};

export const elementSchemas: Readonly<Record<Datatype, z.ZodType>> = {
  BOOL: z.union([z.boolean(), z.literal([0, 1])]),
  UINT8: whole(0, 255),
  UINT16: whole(0, 65_535),
  UINT32: whole(0, 2 ** 32 - 1),
  UINT64: large(0, 2 ** 64),
  INT8: whole(-128, 127),
  INT16: whole(-32_768, 32_767),
  INT32: whole(-(2 ** 31), 2 ** 31 - 1),
  INT64: large(-(2 ** 63), 2 ** 63),
  FP16: z.union([finiteSchemas.FP16, special]),
  FP32: z.union([finiteSchemas.FP32, special]),
  FP64: z.union([finiteSchemas.FP64, special]),
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ONNX Runtime ends a string at its first NUL.
  BYTES: z.string().regex(/^[^\u0000]*$/),
};

/** All elements of a tensor in one list. */
export const flatSchemas = Object.fromEntries(
  datatypes.map((datatype) => [
    datatype,
    z.array(elementSchemas[datatype]).describe('The elements in row-major order.'),
  ]),
) as unknown as Readonly<Record<Datatype, z.ZodType>>;

/** Elements in lists as deep as a tensor has dimensions. No schema holds itself, since generators of clients refuse that. */
export function nestedSchema(datatype: Datatype, depth: number): z.ZodType {
  if (depth === 0) return elementSchemas[datatype];
  return depth === 1 ? flatSchemas[datatype] : z.array(nestedSchema(datatype, depth - 1));
}
