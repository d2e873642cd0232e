// Puts the pooling behind the engine of a network whose output is an embedding. Clients, and the parts behind it, see a
// model with one output, `embedding`.

import { ScorelineError } from '../../../shared/errors.js';
import { type EmbeddingOutput, embeddingName } from '../../../shared/manifest/embedding.js';
import { isFloats, showName, takesSize } from '../../../shared/tensors/network.js';
import { type Tensor, toFloats } from '../../../shared/tensors/tensors.js';
import type { Engine, TensorValue } from '../../engine/engine.js';
import { listValues } from './network.js';
import { isMask } from './tokens.js';

/** @throws ScorelineError `model_file_wrong` if the network has no output for it */
export function withEmbedding(engine: Engine, output: EmbeddingOutput): Engine {
  const { dimension } = output;
  const vectors = findVectors(engine.outputs, output);
  return {
    ...engine,
    outputs: [{ name: embeddingName, datatype: 'FP32', type: 'float32', shape: ['N', dimension] }],
    run: async (inputs, _names) => {
      // The engine takes over the memory of the inputs.
      const mask = output.pooling === 'none' ? undefined : readMask(inputs);
      const { outputs, computeMs } = await engine.run(inputs, [vectors.name]);
      return { outputs: [pool(outputs[0] as Tensor, output, mask)], computeMs };
    },
  };
}

/** Returns the named or first output of floats that has a vector for each token, or for each row if nothing is pooled. */
function findVectors(
  values: readonly TensorValue[],
  { dimension, pooling, tensor }: EmbeddingOutput,
): TensorValue {
  const dimensions = pooling === 'none' ? 2 : 3;
  const vectors = values.find(
    (value) =>
      (tensor === undefined || value.name === tensor) &&
      isFloats(value) &&
      value.shape.length === dimensions &&
      takesSize(value.shape.at(-1), dimension),
  );
  if (vectors) return vectors;
  const expected = pooling === 'none' ? `float[N,${dimension}]` : `float[N,tokens,${dimension}]`;
  throw new ScorelineError(
    'model_file_wrong',
    `expected ${tensor === undefined ? 'an output' : `the output ${showName(tensor)}`} of ${expected}, since its output is an embedding with pooling: ${pooling} and dimension: ${dimension}; got ${listValues(values)}. Correct pooling and dimension in the manifest, or export the network with this output.`,
  );
}

/** Returns of each token of a batch whether it is text, if the network is told. */
function readMask(inputs: readonly Tensor[]): Uint8Array | undefined {
  const mask = inputs.find(({ name }) => isMask(name));
  if (!mask) return undefined;
  const { data, datatype } = mask;
  const bytes = datatype === 'INT64' ? 8 : 4;
  return Uint8Array.from(
    { length: data.byteLength / bytes },
    (_, at) => data[at * bytes] as number,
  );
}

/**
 * Makes one vector of each row, of shape [rows, dimension]. A network may return other sizes than its file declares.
 * @throws ScorelineError `model_output_mismatch`
 */
function pool(
  vectors: Tensor,
  { dimension, pooling, normalise }: EmbeddingOutput,
  mask: Uint8Array | undefined,
): Tensor {
  const [rows = 0, ...inner] = vectors.shape;
  const [tokens = 0] = pooling === 'none' ? [1] : inner;
  const sizes = pooling === 'none' ? [dimension] : [tokens, dimension];
  if (tokens < 1 || inner.join() !== sizes.join()) {
    const one = pooling === 'none' ? 'input' : 'token of each input';
    throw mismatch(vectors, `a vector of ${dimension} numbers for each ${one}`);
  }
  // One vector needs no mask.
  if (mask && tokens > 1 && mask.length !== rows * tokens) {
    throw mismatch(vectors, `${mask.length} vectors, one for each token of the inputs,`);
  }
  const floats = toFloats(vectors);
  const pooled = new Float32Array(rows * dimension);
  for (let row = 0; row < rows; row++) {
    const vector = pooled.subarray(row * dimension, (row + 1) * dimension);
    const isText = mask?.subarray(row * tokens, (row + 1) * tokens);
    const first = Math.max(0, isText?.indexOf(1) ?? 0);
    const last = pooling === 'mean' ? tokens : first + 1;
    for (let token = first; token < last; token++) {
      if (isText && token > first && isText[token] === 0) continue;
      const from = (row * tokens + token) * dimension;
      for (let at = 0; at < dimension; at++) {
        vector[at] = (vector[at] as number) + (floats[from + at] as number);
      }
    }
    scale(vector, normalise ? lengthOf(vector) : countOf(isText, pooling === 'mean' ? tokens : 1));
  }
  return {
    name: embeddingName,
    datatype: 'FP32',
    shape: [rows, dimension],
    data: new Uint8Array(pooled.buffer),
  };
}

function mismatch({ name, shape }: Tensor, expected: string): ScorelineError {
  return new ScorelineError(
    'model_output_mismatch',
    `Expected ${expected} in the output ${showName(name)}; got the shape [${shape}].`,
  );
}

function countOf(isText: Uint8Array | undefined, tokens: number): number {
  if (!isText || tokens === 1) return tokens;
  return isText.reduce((sum, value) => sum + value, 0);
}

function lengthOf(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
}

/** A vector of length 0 stays as it is. */
function scale(vector: Float32Array, divisor: number): void {
  for (let at = 0; at < vector.length; at++) {
    vector[at] = (vector[at] as number) / (divisor || 1);
  }
}
