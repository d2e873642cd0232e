// Work that one process does for all that share a folder: a download, or an environment of Python. A folder stands for it,
// which belongs to the process that has made it. The others wait until it is gone.
//
// Its owner touches it every two seconds. The number of a process would mean nothing in another container.

import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, statSync, utimesSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { unless } from '../../shared/process/unless.js';

const touchEveryMs = 2000;
const lookEveryMs = 250;
/** If nobody has touched the folder for so long, its process was killed. */
const abandonedMs = 20_000;

/** No other process does this work until it has ended. */
export interface Claim {
  readonly folder: string;
  /** Removes the folder, with all that is in it. */
  end(): Promise<void>;
}

/**
 * Waits until no other process does this work. Rejects when the signal is aborted, or with what `mkdir` says.
 * @param options.onWait is called once, if there is another process
 */
export async function claim(
  folder: string,
  options: { signal?: AbortSignal | undefined; onWait?: () => void } = {},
): Promise<Claim> {
  let seen = { touchedAt: 0, at: performance.now() };
  while (!makeFolder(folder)) {
    const { mtimeMs: touchedAt = 0 } = statSync(folder, { throwIfNoEntry: false }) ?? {};
    // The clocks of machines that share the folder may differ, so a change counts, and not an age.
    const at = performance.now();
    if (seen.touchedAt === 0) options.onWait?.();
    if (touchedAt !== seen.touchedAt) seen = { touchedAt, at };
    else if (at - seen.at > abandonedMs) await removeAbandoned(folder);
    await unless(options.signal, delay(lookEveryMs));
  }
  const touching = setInterval(touch, touchEveryMs, folder);
  const end = () => {
    clearInterval(touching);
    return remove(folder);
  };
  return { folder, end };
}

/** Removes a folder. An environment has thousands of files, and other models are served meanwhile. */
export function remove(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** One process that waits removes a folder, and the others find it gone. */
async function removeAbandoned(folder: string): Promise<void> {
  const abandoned = `${folder}.${randomUUID()}`;
  try {
    renameSync(folder, abandoned);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
  await remove(abandoned);
}

function touch(folder: string): void {
  const now = new Date();
  try {
    utimesSync(folder, now, now);
  } catch {
    // The folder cannot be written to any more, or another process has taken it over. The work finds that, too.
  }
}

/** Returns whether a folder was made; false if it is there. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  }
}
