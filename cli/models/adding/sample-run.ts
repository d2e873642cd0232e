// What a run of a sample shows, where the file of a network leaves it open or says something else.

import { coerceError } from '../../../shared/errors.js';
import type { EmbeddingOutput } from '../../../shared/manifest/embedding.js';
import { inputSchema } from '../../../shared/manifest/manifest.js';
import { isFloats, takesSize } from '../../../shared/tensors/network.js';
import { makeAdapter } from '../../../worker/batch/inputs/adapter.js';
import { sampleInputs } from '../../../worker/batch/inputs/sample.js';
import { withEmbedding } from '../../../worker/batch/network/embedding.js';
import { openTokenizer, UnfitTokenizer } from '../../../worker/batch/network/tokenizer.js';
import { withTokens } from '../../../worker/batch/network/tokens.js';
import type { Engine, TensorValue, Values } from '../../../worker/engine/engine.js';
import { wrongFile } from '../../faults.js';
import type { Guess } from '../guess.js';
import { merge, type Settings, sectionOf } from './settings.js';

/** Puts the tokenizer and the pooling around the network, and counts by a sample what its file leaves open. */
export async function dress(
  bare: Engine,
  guessed: Guess,
  settings: Settings,
): Promise<{ guess: Guess; values: Values }> {
  const engine = await withTokenizer(bare, guessed, settings);
  const { kind } = guessed.output;
  const isCounted = kind === 'classification' || kind === 'embedding';
  if (!isCounted) return { guess: guessed, values: await withRanks(engine, guessed) };
  const size = guessed.size ?? (await countNumbers(guessed, engine));
  if (kind === 'classification') {
    return { guess: { ...guessed, size }, values: await withRanks(engine, guessed) };
  }
  const output = { ...guessed.output, dimension: size };
  const wanted = { normalise: true, ...merge(output, sectionOf(settings, 'output')) };
  return {
    guess: { ...guessed, size, output },
    values: withEmbedding(engine, wanted as unknown as EmbeddingOutput),
  };
}

async function withTokenizer(
  engine: Engine,
  { tokenizer, input }: Guess,
  settings: Settings,
): Promise<Engine> {
  if (tokenizer === undefined) return engine;
  const { tokensMax } = merge(input, sectionOf(settings, 'input'));
  try {
    return withTokens(engine, await openTokenizer(tokenizer, Number(tokensMax)));
  } catch (thrown) {
    if (thrown instanceof UnfitTokenizer) throw wrongFile(`${tokenizer} ${thrown.message}`);
    throw wrongFile(coerceError(thrown).message);
  }
}

/** Runs the network once, since its file leaves the number of scores open. */
async function countNumbers(guessed: Guess, engine: Engine): Promise<number> {
  const { output } = guessed;
  const dimensions = output.pooling === 'none' ? 2 : 3;
  try {
    const { outputs } = await runSample(guessed, engine);
    const numbers = outputs.find((tensor) => {
      if (output.kind === 'embedding') {
        return isFloats(tensor) && tensor.shape.length === dimensions;
      }
      return output.tensor === undefined ? isFloats(tensor) : tensor.name === output.tensor;
    });
    return numbers?.shape.at(-1) ?? 0;
  } catch (thrown) {
    throw wrongFile(
      `expected the network to score a sample, since its file does not say how many numbers it answers with; ${coerceError(thrown).message}`,
    );
  }
}

/** Runs the network once if its file does not say the shape of an output, which ONNX Runtime gives as that of a scalar. */
async function withRanks(engine: Engine, guessed: Guess): Promise<Values> {
  const { inputs, outputs } = engine;
  const isUnknown = ({ datatype, shape }: TensorValue) => datatype && shape.length === 0;
  if (!outputs.some(isUnknown)) return engine;
  // The check says what is wrong with a network that cannot score a sample.
  const ran = await runSample(guessed, engine).catch(() => undefined);
  const shapeOf = (name: string) =>
    ran?.outputs.find((output) => output.name === name)?.shape.map(() => -1) ?? [];
  const known = outputs.map((value) =>
    isUnknown(value) ? { ...value, shape: shapeOf(value.name) } : value,
  );
  return { inputs, outputs: known };
}

/**
 * Opens the sizes of outputs that are others in a run of a sample than the file says.
 * @throws `mismatch` if none is
 */
export async function withSizesOfRun(
  bare: Engine,
  guessed: Guess,
  { settings, mismatch }: { settings: Settings; mismatch: Error },
): Promise<Engine> {
  const engine = await withTokenizer(bare, guessed, settings);
  const ran = await runSample(guessed, engine);
  const first = guessed.batch === 'none' ? 0 : 1;
  const outputs = bare.outputs.map((value) => {
    const { shape: said } = value;
    const shape = ran.outputs.find(({ name }) => name === value.name)?.shape ?? said;
    const isWrong = (at: number) => at >= first && !takesSize(said[at], Number(shape[at]));
    if (shape.length !== said.length) return { ...value, shape: shape.map(() => -1) };
    return said.some((_, at) => isWrong(at))
      ? { ...value, shape: said.map((size, at) => (isWrong(at) ? -1 : size)) }
      : value;
  });
  if (outputs.every((value) => bare.outputs.includes(value))) throw mismatch;
  return { ...bare, outputs };
}

async function runSample({ input: section, batch }: Guess, engine: Engine) {
  const input = inputSchema.parse(section);
  const sample = sampleInputs({ input, description: 'hello', example: undefined }, engine.inputs);
  const adapter = makeAdapter(input, {
    name: 'The network',
    inputs: engine.inputs,
    batch: { max: 1, dimension: batch === 'none' ? 'none' : 'first' },
  });
  adapter.countRows(sample);
  return engine.run(adapter.stack([sample]));
}
