// The inputs and outputs of a network, as a manifest declares them.

import { z } from 'zod';
import { datatypes } from '../tensors/tensors.js';

/** A size in a shape; -1 if it varies. */
export const sizeSchema = z
  .number()
  .int()
  .min(-1)
  .max(2 ** 31 - 1);

const declaredTensorsSchema = z
  .array(
    z.strictObject({
      name: z.string().min(1).describe('The name in the ONNX file.'),
      datatype: z.enum(datatypes).describe('The type of its elements; BYTES is text.'),
      shape: z
        .array(z.union([sizeSchema, z.string().min(1).max(100)], 'expected a size, -1, or a name'))
        .max(16)
        .describe(
          'The sizes of its dimensions. One that varies is -1, or a name if it must be the same wherever the name is.',
        ),
    }),
  )
  .min(1)
  .refine((tensors) => new Set(tensors.map(({ name }) => name)).size === tensors.length, {
    message: 'expected each name once',
  });

export const networkSchema = z.strictObject({
  inputs: declaredTensorsSchema.describe('The inputs of the network.'),
  outputs: declaredTensorsSchema.describe(
    'The outputs of the network. Clients do not get those that are left out.',
  ),
});

export type Network = z.output<typeof networkSchema>;
/** An input or output of the network, as the manifest declares it. */
export type DeclaredTensor = Network['inputs'][number];
