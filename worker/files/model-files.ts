// The files of a model on the worker's disk. They are verified before they are used: scores of another
// network than the manifest names would be wrong answers that nobody notices.
//
// Files that are missing come from the addresses in the manifest, if the worker has a cache
// (MODEL_CACHE_DIR). Workers may share a cache. The first to need a model downloads it, and the others wait.

import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '../../shared/process/log.js';
import { filesOf, isInCache, type ModelFile } from '../../shared/registry/files.js';
import type { Model } from '../../shared/registry/models.js';
import { packageDirectory } from '../../shared/version.js';
import { checkBounds } from './bounds.js';
import { claim } from './claim.js';
import { deliver, deliveredBytes } from './delivery.js';
import { unwritable } from './unwritable.js';
import { differenceOf, verifyFiles } from './verification.js';

const progressEveryMs = 5000;

/**
 * Downloads the files of a model that are missing, and verifies all of them.
 * @throws ScorelineError `model_file_wrong`, `manifest_invalid`, `download_failed`
 */
export async function ensureModelFiles(model: Model, log: Logger): Promise<void> {
  checkBounds(model);
  const hashes = hashesOf(model);
  if (isInCache(model) && (await wrongFiles(model, hashes)).length > 0) {
    await fetchOnce(model, hashes, log).catch((thrown) => {
      throw unwritable(model.file, thrown) ?? thrown;
    });
  }
  await verifyFiles(model, hashes);
}

/**
 * Verifies the files of a model, and downloads none.
 * @throws ScorelineError `model_file_missing`, `model_file_wrong`, `manifest_invalid`
 */
export async function verifyModelFiles(model: Model): Promise<void> {
  await verifyFiles(model, hashesOf(model));
}

/** Returns the folder where the hashes of a model's files are kept. */
function hashesOf(model: Model): string {
  return isInCache(model)
    ? path.dirname(model.file)
    : path.join(packageDirectory(), 'node_modules', '.cache', 'scoreline');
}

async function wrongFiles(model: Model, hashes: string): Promise<ModelFile[]> {
  const wrong: ModelFile[] = [];
  for (const file of filesOf(model)) {
    if ((await differenceOf(file, hashes)) !== undefined) wrong.push(file);
  }
  return wrong;
}

async function fetchOnce(model: Model, hashes: string, log: Logger): Promise<void> {
  mkdirSync(path.dirname(model.file), { recursive: true });
  const downloading = await claim(`${model.file}.lock`, {
    onWait: () => log.info({ model: model.name }, 'another worker downloads the model'),
  });
  try {
    // Another worker may have fetched them while this one waited for the lock.
    for (const file of await wrongFiles(model, hashes)) {
      rmSync(file.path, { force: true });
      await fetchFile(model, file, log);
    }
  } finally {
    await downloading.end();
  }
}

async function fetchFile({ name }: Model, wanted: ModelFile, log: Logger): Promise<void> {
  const { urls, path: file } = wanted;
  const bytes = deliveredBytes(wanted);
  mkdirSync(path.dirname(file), { recursive: true });
  log.info({ model: name, bytes, urls }, 'model file is missing; downloading it');
  let saidAt = performance.now();
  await deliver(wanted, {
    onProgress: (bytesDone) => {
      if (performance.now() - saidAt < progressEveryMs) return;
      saidAt = performance.now();
      log.info({ model: name, bytesDone, bytes }, 'downloading');
    },
    onRetry: (reason) => log.warn({ model: name, reason }, 'the download is tried again'),
  });
  log.info({ model: name, file }, 'model file is in place');
}
