// The scorer: engine, input stacking, output ranking.

import { coerceError, type ErrorCode, ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import type { Model } from '../../shared/registry/models.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { Item } from '../../shared/wire/job.js';
import {
  type Engine,
  type EngineDevice,
  EngineEnded,
  type Owner,
  RunFailure,
  type Values,
} from '../engine/engine.js';
import { threadsOfCopies } from '../engine/instances.js';
import { plainReason } from '../engine/plain-reason.js';
import { makeAdapter } from './inputs/adapter.js';
import { exampleOrSample, isMadeUp, readFileExample } from './inputs/sample.js';
import { checkDeclared } from './network/declared.js';
import { openModelEngine } from './network/model-engine.js';
import type { Adapter } from './network/network.js';
import { judgeScores } from './outputs/activation.js';
import { isFiniteAnswer } from './outputs/finite.js';
import { makeOutputs, type Outputs } from './outputs/outputs.js';
import { notFinite, refusalOr } from './refusal.js';

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
  /** The inputs and outputs of the network, as the engine names them. */
  readonly values: Values;
  /** How long the model took to load, without warm-up. */
  readonly loadMs: number;
  readonly device: EngineDevice;
}

export interface WarmScorer extends LoadedScorer {
  /** What seems wrong with the model, judged by its scores of the sample. */
  readonly warning: string | undefined;
  /** Whether it has scored its sample. A made-up one may not suit the model. */
  readonly isWarm: boolean;
}

/**
 * Tries batches where nothing but the attempt is lost if a run hangs or ends its process. Resolves to
 * `broken` if one did, and to an error if they could not be tried.
 */
export type Rehearse = (
  model: Model,
  batches: readonly ScorerItem[][],
  /** How long the worker took to load the model. */
  loadMs: number,
) => Promise<'survived' | 'broken' | Error>;

/**
 * Loads a model, and warms it up with one item and with a full batch.
 * @param sample the inputs of one item, by default those of the example, an image of noise, or ones
 * @param rehearse is called before ones are tried, which a network of tensors may never have met
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`, `model_output_mismatch`
 */
export async function openScorer(
  model: Model,
  log: Logger,
  options: Partial<Owner> & { sample?: readonly Tensor[]; rehearse?: Rehearse } = {},
): Promise<WarmScorer> {
  const { onLost = () => {}, signal, sample, rehearse } = options;
  const copies = threadsOfCopies(model.manifest);
  const { parts, ...scorer } = await load(model, log, { onLost, signal }, copies);
  try {
    const warmth = await warmUp(
      parts,
      sample ?? readFileExample(model) ?? exampleOrSample(model.manifest, parts.engine.inputs),
      { rehearse, loadMs: scorer.loadMs },
    );
    return { ...scorer, ...warmth };
  } catch (thrown) {
    await scorer.close();
    throw thrown;
  }
}

/**
 * Loads one instance of a model, without warming it up.
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`
 */
export async function loadScorer(
  model: Model,
  log: Logger,
  onLost: Owner['onLost'] = () => {},
): Promise<LoadedScorer> {
  const copies = [model.manifest.device.threads];
  const { parts: _, ...scorer } = await load(model, log, { onLost }, copies);
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
  owner: Owner,
  copies: readonly number[],
): Promise<LoadedScorer & { parts: Parts }> {
  const { manifest } = model;
  const startedAt = performance.now();
  const engine = await openModelEngine(model, log, owner, copies);
  try {
    const adapter = makeAdapter(manifest.input, {
      name: model.name,
      inputs: engine.inputs,
      batch: manifest.batch,
    });
    checkDeclared(model, engine);
    const outputs = makeOutputs(model, engine.outputs);
    const parts = { model, engine, adapter, outputs, log };
    return {
      parts,
      loadMs: performance.now() - startedAt,
      device: engine.device,
      values: engine,
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
    const fields = { model: parts.model.name, batchSize: items.length, err: error };
    if (items.length > 1) {
      // The reason is logged with the item that fails.
      parts.log.debug(fields, 'a batch failed; scoring its items one by one');
      return scoreSingly(parts, items, rows);
    }
    const shown = refusalOr(error, items[0] as ScorerItem, parts.model);
    // A refusal is the caller's to read.
    parts.log[shown === error ? 'error' : 'debug'](fields, 'an item failed');
    return { results: [failed(shown)], computeMs: 0 };
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
  { model, engine, adapter, outputs }: Parts,
  items: readonly ScorerItem[],
  rows: readonly number[],
): Promise<ScoredBatch> {
  const batch = adapter.stack(items.map(({ inputs }) => inputs));
  const ran = await engine.run(batch, outputs.needed(items));
  const shares = outputs.share(ran.outputs, items, rows);
  return {
    results: shares.map((share, at) =>
      share ? { outputs: share } : failed(notFinite(items[at] as ScorerItem, model)),
    ),
    computeMs: ran.computeMs,
  };
}

/** Scores the sample alone and in a full batch. The warning says why it did not, or that its scores look wrong. */
async function warmUp(
  parts: Parts,
  sample: readonly Tensor[],
  { rehearse, loadMs }: { rehearse: Rehearse | undefined; loadMs: number },
): Promise<Pick<WarmScorer, 'warning' | 'isWarm'>> {
  const { model, adapter, engine, outputs } = parts;
  const hasAnswer = model.labels.length > 0 || model.heads.length > 0;
  const item = { inputs: sample, top: hasAnswer ? 1 : undefined };
  const rows = adapter.countRows(sample);
  const { input, example, network } = model.manifest;
  const { max } = model.manifest.batch;
  // Callers of tensors may want each output that is declared, also one that the answer does not need.
  const all: ScorerItem = network ? { inputs: sample, top: undefined } : item;
  const isSample = isMadeUp(model.manifest, sample);
  // A picture is not read here: noise stands for it.
  const isExample = example !== undefined && input.kind !== 'image';
  const full = new Array<ScorerItem>(max).fill(item).with(-1, all);
  const rehearsed =
    isSample && rehearse ? await rehearse(model, [[item], full], loadMs) : 'survived';
  if (rehearsed !== 'survived') {
    const [what, why] =
      rehearsed === 'broken'
        ? ['in a process of its own, it crashed or did not end', '']
        : ['it could not be tried in a process of its own', ` ${rehearsed.message}`];
    const warning = `${model.name}: expected the model to survive a run with ones; ${what}. It was not warmed up. ${exampleRemedy}${why}`;
    return { warning, isWarm: false };
  }
  let scores: Float32Array | undefined;
  try {
    scores = await naming(model, 'one input', async () => {
      const ran = await engine.run(adapter.stack([sample]), outputs.needed([item, all]));
      const [share] = outputs.share(ran.outputs, [item], [rows]);
      outputs.share(ran.outputs, [all], [rows]);
      if (isExample && !isFiniteAnswer(model.manifest, share)) throw notFiniteExample();
      return outputs.scoresOf(ran.outputs);
    });
  } catch (thrown) {
    const error = coerceError(thrown);
    if (!isSample || error.cause === undefined) throw thrown;
    const warning = `${error.message.replace(/[^.]$/, '$&.')} Its sample is ones and empty texts, which it may not take, so it was not warmed up. ${exampleRemedy}`;
    return { warning, isWarm: false };
  }
  await naming(
    model,
    `${max} inputs at once, as batch.max says`,
    () => {
      const each = () => run(parts, full, new Array<number>(max).fill(rows));
      return Promise.all(threadsOfCopies(model.manifest).map(each));
    },
    input.kind === 'tensors'
      ? 'It can score one: set batch: none if the first dimension does not count items. '
      : 'It can score one: set batch: { max: 1 } in the manifest, or export the model with a dynamic batch dimension. ',
  );
  return { warning: scores && judgeScores(model, scores), isWarm: true };
}

function notFiniteExample(): ScorelineError {
  return new ScorelineError(
    'model_output_mismatch',
    'Its answer to the example has numbers that are not finite.',
  );
}

const exampleRemedy = 'Give its manifest an example.';

/** Runs a part of the warm-up. If it fails, its error names the model and what it should do. */
async function naming<T>(
  model: Model,
  what: string,
  act: () => Promise<T>,
  remedy = '',
): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    const error = coerceError(thrown);
    if (error instanceof EngineEnded && error.cause) {
      throw new ScorelineError(error.cause.code, `${model.name}: ${error.cause.message}`);
    }
    const reason =
      error.cause === undefined
        ? error.message
        : `${runtimeOf(error.cause)} says: ${plainReason(coerceError(error.cause).message)}`;
    const isMismatch = error instanceof ScorelineError && error.code === 'model_output_mismatch';
    throw new ScorelineError(
      isMismatch ? error.code : 'model_file_wrong',
      `${model.name}: expected the model to score ${what}. ${remedy}${reason}`,
      { cause: error.cause },
    );
  }
}

function runtimeOf(cause: unknown): string {
  return cause instanceof RunFailure ? cause.runtime : 'The engine';
}

function failed(error: Error): Scored {
  if (error instanceof ScorelineError)
    return { error: { code: error.code, detail: error.message } };
  return { error: { code: 'model_failed', detail: 'The model failed on this input.' } };
}
