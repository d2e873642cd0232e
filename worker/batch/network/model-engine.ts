// Opens the engine of a model: what runs it, with the tokenizer before it and the pooling behind it, if
// its manifest says so.

import os from 'node:os';
import { coerceError, ScorelineError } from '../../../shared/errors.js';
import { describedBytes } from '../../../shared/manifest/manifest.js';
import type { Logger } from '../../../shared/process/log.js';
import { filesOf } from '../../../shared/registry/files.js';
import type { Model } from '../../../shared/registry/models.js';
import type { Engine, Owner } from '../../engine/engine.js';
import { openInstances } from '../../engine/instances.js';
import type { SessionOptions } from '../../engine/messages.js';
import { openOnnxEngine } from '../../engine/onnx.js';
import { type SharedNetwork, shareWeights } from '../../engine/shared-weights.js';
import { withEmbedding } from './embedding.js';
import { UnfitNetwork } from './network.js';
import { openPython } from './python.js';
import { openTokenizer, UnfitTokenizer } from './tokenizer.js';
import { type TokensRunner, withTokens } from './tokens.js';

/**
 * Loads the model into an engine. Its errors name the model.
 * @param copies the threads of a run in each copy, from `threadsOfCopies`
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`
 */
export async function openModelEngine(
  model: Model,
  log: Logger,
  owner: Owner,
  copies: readonly number[],
): Promise<Engine> {
  const { name } = model;
  let engine: Engine | undefined;
  try {
    engine = await openCopies(model, copies, { log, owner });
    return await dress(engine, model);
  } catch (thrown) {
    await engine?.close();
    if (thrown instanceof UnfitNetwork) {
      throw new ScorelineError('model_file_wrong', `${name}: ${thrown.message}`);
    }
    if (!(thrown instanceof ScorelineError)) throw thrown;
    throw new ScorelineError(thrown.code, `${name}: ${thrown.message}`);
  }
}

interface Surroundings {
  readonly log: Logger;
  readonly owner: Owner;
}

/** Opens all copies. They share their weights if they can. */
async function openCopies(
  model: Model,
  copies: readonly number[],
  surroundings: Surroundings,
): Promise<Engine> {
  const { name, file, manifest } = model;
  const { engine, device } = manifest;
  const openAll = (options: Pick<SessionOptions, 'file' | 'isOptimized'>) =>
    openInstances(copies, (threads) =>
      openBare(model, { ...options, threads, isCopy: copies.length > 1 }, surroundings),
    );
  if (copies.length === 1 || engine === 'python' || device.type !== 'cpu') return openAll({ file });
  let shared: SharedNetwork | undefined;
  try {
    shared = await shareWeights(file, describedBytes(manifest.source));
    return await openAll({ file: shared.file, isOptimized: true });
  } catch (error) {
    // If the network itself is at fault, it is now opened in vain, which says so.
    const fields = { model: name, copies: copies.length, reason: coerceError(error).message };
    const message = 'each copy of the model has weights of its own, which takes more memory';
    const advice = `See whether ${os.tmpdir()} has room and can be written.`;
    surroundings.log.warn({ ...fields, advice }, message);
    return openAll({ file });
  } finally {
    await shared?.remove();
  }
}

interface Copy extends Pick<SessionOptions, 'file' | 'isOptimized'> {
  readonly threads: number;
  readonly isCopy: boolean;
}

function openBare(
  model: Model,
  { threads, ...source }: Copy,
  { log, owner }: Surroundings,
): Promise<Engine> {
  const { engine, device, runMsMax } = model.manifest;
  const watch = { ...owner, runMsMax };
  if (engine === 'python') return openPython(model, log, watch);
  const bytes = describedBytes(model.manifest.source);
  return openOnnxEngine({ ...source, bytes, device: { ...device, threads } }, watch);
}

async function dress(engine: Engine, model: Model): Promise<Engine> {
  const { output } = model.manifest;
  return withTokenizer(output.kind === 'embedding' ? withEmbedding(engine, output) : engine, model);
}

/**
 * Puts the tokenizer of a model before what runs its network, if its manifest names one.
 * @throws ScorelineError `model_file_wrong` if the tokenizer cannot be read
 * @throws UnfitNetwork if the network does not take its tokens
 */
export async function withTokenizer<Runner extends TokensRunner>(
  engine: Runner,
  model: Model,
): Promise<Runner> {
  const { input } = model.manifest;
  const file = tokenizerOf(model);
  if (file === undefined || input.kind !== 'text' || !input.tokensMax) return engine;
  try {
    return withTokens(engine, await openTokenizer(file, input.tokensMax));
  } catch (thrown) {
    if (!(thrown instanceof UnfitTokenizer)) throw thrown;
    throw new ScorelineError('model_file_wrong', `source.tokenizer: ${file} ${thrown.message}.`);
  }
}

function tokenizerOf(model: Model): string | undefined {
  const { source } = model.manifest;
  if (source.engine === 'python' || !source.tokenizer) return undefined;
  return filesOf(model).at(-1)?.path;
}
