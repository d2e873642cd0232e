// Opens the engine of a model: what runs it, with the tokenizer before it and the pooling behind it, if
// its manifest says so.

import { ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { filesOf } from '../../shared/model-files.js';
import type { Model } from '../../shared/models.js';
import type { Engine, Watch } from '../engine/engine.js';
import { openInstances } from '../engine/instances.js';
import { openOnnxEngine } from '../engine/onnx.js';
import { withEmbedding } from './embedding.js';
import { UnfitNetwork } from './network.js';
import { openPython } from './python.js';
import { openTokenizer, UnfitTokenizer } from './tokenizer.js';
import { withTokens } from './tokens.js';

/**
 * Loads the model into an engine. Its errors name the model.
 * @param instances how many copies run side by side
 * @throws ScorelineError `provider_unavailable`, `model_file_wrong`
 */
export async function openModelEngine(
  model: Model,
  log: Logger,
  onLost: Watch['onLost'],
  instances: number,
): Promise<Engine> {
  const { name } = model;
  let engine: Engine | undefined;
  try {
    engine = await openInstances(instances, () => openBare(model, log, onLost));
    return dress(engine, model);
  } catch (thrown) {
    await engine?.close();
    if (thrown instanceof UnfitNetwork) {
      throw new ScorelineError('model_file_wrong', `${name}: ${thrown.message}`);
    }
    if (!(thrown instanceof ScorelineError)) throw thrown;
    throw new ScorelineError(thrown.code, `${name}: ${thrown.message}`);
  }
}

function openBare(model: Model, log: Logger, onLost: Watch['onLost']): Promise<Engine> {
  const { file, manifest } = model;
  const { device, runMsMax } = manifest;
  if (manifest.engine === 'python') return openPython(model, log, { runMsMax, onLost });
  return openOnnxEngine({ file, device }, { runMsMax, onLost });
}

function dress(engine: Engine, model: Model): Engine {
  const { input, output } = model.manifest;
  const pooled = output.kind === 'embedding' ? withEmbedding(engine, output) : engine;
  const file = tokenizerOf(model);
  if (file === undefined || input.kind !== 'text' || !input.tokensMax) return pooled;
  try {
    return withTokens(pooled, openTokenizer(file, input.tokensMax));
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
