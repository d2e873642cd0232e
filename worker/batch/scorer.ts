// The scorer: engine, input stacking, output ranking.

import { coerceError, type ErrorCode, ScorelineError } from '../../shared/errors.js';
import type { Item } from '../../shared/job.js';
import type { Logger } from '../../shared/log.js';
import type { Model } from '../../shared/models.js';
import type { Tensor } from '../../shared/tensors.js';
import { type Engine, type EngineDevice, EngineEnded } from '../engine/engine.js';
import { openOnnxEngine } from '../engine/onnx.js';
import { makeAdapter } from './adapter.js';
import type { Adapter } from './network.js';
import { makeOutputs, type Outputs } from './outputs.js';
import { sampleInputs } from './sample.js';

export type ScorerItem = Pick<Item, 'inputs' | 'top' | 'outputs'>;

/** The result of one item, as its reply will have it: outputs or an error. */
export type Scored =
  | { readonly outputs: readonly Tensor[] }
  | { readonly error: { readonly code: ErrorCode; readonly detail: string } };

export interface ScoredBatch {
  /** One result for each item, in order. */
  readonly results: Scored[];
  /** How long the model's runs took. */
  readonly computeMs: number;
}

export interface Scorer {
  /**
   * Scores a batch of items with the same `shapeKey`. If the model cannot take an item, or fails on
   * it, that item gets an error and the others are scored.
   * @throws EngineEnded if the engine is lost; no item is to blame for that
   */
  score(items: readonly ScorerItem[]): Promise<ScoredBatch>;
  close(): Promise<void>;
}

export interface LoadedScorer extends Scorer {
  /** How long the model took to load, without warm-up. */
  readonly loadMs: number;
  readonly device: EngineDevice;
}

/** Called when the scorer can score nothing more: a run hangs, or the engine has ended. */
export type OnLost = (reason: string) => void;

/**
 * Loads a model, and warms it up with one item and with a full batch.
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`, `model_output_mismatch`
 */
export async function openScorer(
  model: Model,
  log: Logger,
  onLost: OnLost = () => {},
): Promise<LoadedScorer> {
  const { parts, ...scorer } = await load(model, log, onLost);
  try {
    await warmUp(parts);
    return scorer;
  } catch (thrown) {
    await scorer.close();
    throw warmUpError(model, coerceError(thrown));
  }
}

/**
 * Loads a model without warming it up.
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`
 */
export async function loadScorer(
  model: Model,
  log: Logger,
  onLost: OnLost = () => {},
): Promise<LoadedScorer> {
  const { parts: _, ...scorer } = await load(model, log, onLost);
  return scorer;
}

interface Parts {
  readonly model: Model;
  readonly engine: Engine;
  readonly adapter: Adapter;
  readonly outputs: Outputs;
  readonly log: Logger;
}

async function load(
  model: Model,
  log: Logger,
  onLost: OnLost,
): Promise<LoadedScorer & { parts: Parts }> {
  const { manifest } = model;
  const startedAt = performance.now();
  const engine = await openOnnxEngine(
    { file: model.file, device: manifest.device },
    { runMsMax: manifest.runMsMax, onLost },
  );
  try {
    const adapter = makeAdapter(manifest.input, { name: model.name, inputs: engine.inputs });
    const outputs = makeOutputs(model, engine.outputs);
    const parts = { model, engine, adapter, outputs, log };
    return {
      parts,
      loadMs: performance.now() - startedAt,
      device: engine.device,
      score: (items) => score(parts, items),
      close: () => engine.close(),
    };
  } catch (thrown) {
    await engine.close();
    throw thrown;
  }
}

async function score(parts: Parts, items: readonly ScorerItem[]): Promise<ScoredBatch> {
  const rows: number[] = [];
  const errors = items.map((item) => {
    try {
      parts.outputs.check(item);
      rows.push(parts.adapter.countRows(item.inputs));
      return undefined;
    } catch (thrown) {
      return failed(coerceError(thrown));
    }
  });
  if (rows.length === items.length) return scoreSound(parts, items, rows);
  const sound = items.filter((_, at) => !errors[at]);
  const { results, computeMs } = await scoreSound(parts, sound, rows);
  const inOrder = results.values();
  return { results: errors.map((error) => error ?? (inOrder.next().value as Scored)), computeMs };
}

/** Scores items that passed the checks. If their batch fails, they are run one by one. */
async function scoreSound(
  parts: Parts,
  items: readonly ScorerItem[],
  rows: readonly number[],
): Promise<ScoredBatch> {
  if (items.length === 0) return { results: [], computeMs: 0 };
  try {
    return await run(parts, items, rows);
  } catch (thrown) {
    if (thrown instanceof EngineEnded) throw thrown;
    const error = coerceError(thrown);
    const { model, log } = parts;
    log.error({ model: model.name, batchSize: items.length, err: error }, 'a batch failed');
    if (items.length === 1) return { results: [failed(error)], computeMs: 0 };
    return scoreSingly(parts, items, rows);
  }
}

async function scoreSingly(
  parts: Parts,
  items: readonly ScorerItem[],
  rows: readonly number[],
): Promise<ScoredBatch> {
  const results: Scored[] = [];
  let computeMs = 0;
  for (const [at, item] of items.entries()) {
    const single = await scoreSound(parts, [item], [rows[at] as number]);
    results.push(...single.results);
    computeMs += single.computeMs;
  }
  return { results, computeMs };
}

async function run(
  { engine, adapter, outputs }: Parts,
  items: readonly ScorerItem[],
  rows: readonly number[],
): Promise<ScoredBatch> {
  const batch = adapter.stack(items.map(({ inputs }) => inputs));
  const ran = await engine.run(batch, outputs.needed(items));
  const shares = outputs.share(ran.outputs, items, rows);
  return {
    results: shares.map((share) => (share ? { outputs: share } : notNumbers)),
    computeMs: ran.computeMs,
  };
}

async function warmUp(parts: Parts): Promise<void> {
  const { model, engine, adapter } = parts;
  const { input, example, batch } = model.manifest;
  const sample = { inputs: sampleInputs(input, example.input, engine.inputs), top: 1 };
  const rows = adapter.countRows(sample.inputs);
  await run(parts, [sample], [rows]);
  const items = Array.from({ length: batch.max }, () => sample);
  await run(parts, items, new Array<number>(batch.max).fill(rows));
}

const notNumbers: Scored = {
  error: { code: 'model_failed', detail: 'The model returned scores that are not finite numbers.' },
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
