// The network of a model, as a file on the worker's disk. It is checked before it is used: scores of
// another network than the manifest names would be wrong answers that nobody notices.
//
// A network that is missing comes from the addresses in the manifest, if the worker has a cache
// (MODEL_CACHE_DIR). Workers may share a cache. The first to need a file makes a folder beside it, the
// lock, and touches it while it downloads; the others wait. A lock that nobody touches was left by a
// worker that died.

import { existsSync, mkdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ScorelineError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { isInCache, type Model } from '../shared/models.js';
import { download, sha256Of } from './download.js';

const lockTouchedEveryMs = 2000;
const lockLastsMs = 30_000;
const lookAgainMs = 250;
const progressEveryMs = 5000;

/**
 * Downloads the file of a model if it is missing, and checks it.
 * @throws ScorelineError `model_file_wrong`, `download_failed`
 */
export async function ensureModelFile(model: Model, log: Logger): Promise<void> {
  const mustFetch = isInCache(model) && !(await isRight(model));
  if (mustFetch) await fetchOnce(model, log);
  else await checkModelFile(model);
}

/** @throws ScorelineError `model_file_wrong` if the file is not the one that the manifest names */
export async function checkModelFile(model: Model): Promise<void> {
  const difference = await differenceOf(model);
  if (difference === undefined) return;
  throw new ScorelineError(
    'model_file_wrong',
    `${model.file}: ${difference}. Put the right file there, or correct source in the manifest of ${model.name} and give it a new version.`,
  );
}

async function isRight(model: Model): Promise<boolean> {
  return existsSync(model.file) && (await differenceOf(model)) === undefined;
}

async function differenceOf({ file, manifest }: Model): Promise<string | undefined> {
  const { bytes, sha256 } = manifest.source;
  const { size } = statSync(file);
  const found = await sha256Of(file);
  if (size === bytes && found === sha256) return undefined;
  return `expected ${bytes} bytes with SHA-256 ${sha256}; got ${size} bytes with ${found}`;
}

async function fetchOnce(model: Model, log: Logger): Promise<void> {
  mkdirSync(path.dirname(model.file), { recursive: true });
  const lock = `${model.file}.lock`;
  while (!takeLock(lock)) await delay(lookAgainMs);
  const touching = setInterval(() => touch(lock), lockTouchedEveryMs);
  try {
    // Another worker may have fetched it while this one waited for the lock.
    if (await isRight(model)) return;
    rmSync(model.file, { force: true });
    await fetchFile(model, log);
  } finally {
    clearInterval(touching);
    rmSync(lock, { recursive: true, force: true });
  }
}

async function fetchFile({ name, file, manifest }: Model, log: Logger): Promise<void> {
  const { urls, bytes, sha256 } = manifest.source;
  log.info({ model: name, bytes, urls }, 'model file is missing; downloading it');
  let saidAt = performance.now();
  await download({
    urls,
    file,
    bytes,
    sha256,
    onProgress: (bytesDone) => {
      if (performance.now() - saidAt < progressEveryMs) return;
      saidAt = performance.now();
      log.info({ model: name, bytesDone, bytes }, 'downloading');
    },
    onRetry: (reason) => log.warn({ model: name, reason }, 'the download is tried again'),
  });
  log.info({ model: name, file }, 'model file is in place');
}

function takeLock(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const touchedAt = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
    const isLeft = touchedAt !== undefined && Date.now() - touchedAt > lockLastsMs;
    if (isLeft) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

function touch(lock: string): void {
  const now = new Date();
  try {
    utimesSync(lock, now, now);
  } catch {}
}
