// A model that can be scored: the engine with what stands before and behind it.

import { coerceError, type ErrorCode, ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import type { Model } from '../../shared/models.js';
import type { PackedScores } from '../../shared/scores.js';
import { type Engine, type InputTensor, openEngine } from '../engine/engine.js';
import { bytesOfItem, type ItemInput, makeStack, sampleInput } from './kinds.js';
import { areNumbers, makeRank, splitRows } from './scores.js';

export interface ScorerItem extends ItemInput {
  readonly top: number;
}

export type Scored =
  | { readonly scores: PackedScores }
  | { readonly error: { readonly code: ErrorCode; readonly detail: string } };

export interface Scorer {
  readonly engine: Engine;
  /** Scores a batch. One result for each item, in order. */
  score(items: readonly ScorerItem[]): Promise<{ results: Scored[]; computeMs: number }>;
  close(): Promise<void>;
}

/**
 * Loads a model and warms it up, with one item and with a full batch.
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`, `model_output_mismatch`
 */
export async function openScorer(
  model: Model,
  log: Logger,
  onHung: () => void = () => {},
): Promise<Scorer> {
  const scorer = await loadScorer(model, log, onHung);
  try {
    await scorer.warmUp();
    return scorer;
  } catch (thrown) {
    await scorer.close();
    throw warmUpError(model, coerceError(thrown));
  }
}

/**
 * Loads a model.
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`
 */
export async function loadScorer(
  model: Model,
  log: Logger,
  onHung: () => void = () => {},
): Promise<Scorer & { warmUp(): Promise<void> }> {
  const { manifest } = model;
  const engine = await openEngine(
    { file: model.file, device: manifest.device },
    { runMsMax: manifest.runMsMax, onHung },
  );
  const stack = makeStack(manifest.input, engine.inputs[0]?.shape.length ?? 0);
  const itemBytes = bytesOfItem(manifest.input);
  const rank = makeRank({
    classes: model.labels.length,
    activation: manifest.output.activation,
  });
  const sample = { ...sampleInput(manifest), top: 1 };

  const run = async (items: readonly ScorerItem[]) => {
    const wrong = items.find((item) => item.bytes && item.bytes.byteLength !== itemBytes);
    if (wrong)
      throw new Error(`expected ${itemBytes} bytes of pixels, got ${wrong.bytes?.byteLength}`);
    const { output, computeMs } = await engine.run(stack(items));
    const rows = splitRows(output, { items: items.length, classes: model.labels.length });
    const results = rows.map((row, index) =>
      areNumbers(row) ? { scores: rank(row, (items[index] as ScorerItem).top) } : notNumbers,
    );
    return { results, computeMs };
  };

  const score = async (
    items: readonly ScorerItem[],
  ): Promise<{ results: Scored[]; computeMs: number }> => {
    try {
      return await run(items);
    } catch (thrown) {
      const error = coerceError(thrown);
      log.error({ model: model.name, batchSize: items.length, err: error }, 'a batch failed');
      if (items.length === 1) return { results: [failed(error)], computeMs: 0 };
      return scoreSingly(items);
    }
  };

  /** A batch that failed is run item by item, so that one bad item fails alone. */
  const scoreSingly = async (items: readonly ScorerItem[]) => {
    const results: Scored[] = [];
    let computeMs = 0;
    for (const item of items) {
      const single = await score([item]);
      results.push(single.results[0] as Scored);
      computeMs += single.computeMs;
    }
    return { results, computeMs };
  };

  const warmUp = async () => {
    checkInputs(model, engine, stack([sample]));
    await run([sample]);
    await run(Array.from({ length: manifest.batch.max }, () => sample));
  };

  return { engine, score, warmUp, close: () => engine.close() };
}

/** One input of the type and shape that the manifest leads to. */
function checkInputs(model: Model, engine: Engine, sample: InputTensor): void {
  const [input, ...others] = engine.inputs;
  const fits =
    others.length === 0 &&
    input?.type === sample.type &&
    input.shape
      .slice(1)
      .every((size, at) => typeof size !== 'number' || size < 1 || size === sample.dims[at + 1]);
  if (fits) return;
  const came = engine.inputs
    .map(({ name, type, shape }) => `${name}: ${type}[${shape}]`)
    .join(', ');
  throw new ScorelineError(
    'model_file_wrong',
    `${model.name}: expected a model with one input of ${sample.type}[N,${sample.dims.slice(1)}], as the manifest's input says; got ${came}`,
  );
}

const notNumbers: Scored = {
  error: { code: 'model_failed', detail: 'The model answered with scores that are no numbers.' },
};

function failed(error: Error): Scored {
  if (error instanceof ScorelineError)
    return { error: { code: error.code, detail: error.message } };
  return { error: { code: 'model_failed', detail: 'The model failed on this input.' } };
}

function warmUpError(model: Model, error: Error): ScorelineError {
  if (error instanceof ScorelineError && error.code !== 'model_failed') return error;
  const reason = error.cause ?? error.message;
  return new ScorelineError(
    'model_file_wrong',
    `${model.name}: expected the model to score its own example in batches of 1 and ${model.manifest.batch.max}. ONNX Runtime says: ${reason}`,
    { cause: error },
  );
}
