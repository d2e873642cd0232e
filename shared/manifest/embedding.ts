// The output of a model that answers with an embedding: numbers that place its input among others, so near
// means alike.

import { z } from 'zod';

export const embeddingSchema = z.strictObject({
  kind: z.literal('embedding'),
  tensor: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The output of the network. If unset, the first that fits `dimension` and `pooling`.',
    ),
  dimension: z
    .number()
    .int()
    .positive()
    .max(65_536)
    .describe('How many numbers the embedding has.'),
  pooling: z
    .enum(['mean', 'cls', 'none'])
    .default('mean')
    .describe(
      'How the vectors of all tokens, floats of the shape `[N, tokens, dimension]`, become one: `mean` is their mean without padding, and `cls` takes that of the first token. `none` is for a network with an output of `[N, dimension]`.',
    ),
  normalise: z
    .boolean()
    .default(true)
    .describe(
      'Whether it is scaled to length 1, so the product of two embeddings is their cosine.',
    ),
});

export type EmbeddingOutput = z.output<typeof embeddingSchema>;

/** The name of the output of a model that answers with an embedding, as clients see it. */
export const embeddingName = 'embedding';
