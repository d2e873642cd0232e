// Work that one process does for all that share a folder: a download, or an environment of Python. A folder stands for it,
// which belongs to the process that has made it. The others wait until it is gone.
//
// Its owner writes a sign of life into it every two seconds. The number of a process would mean nothing in another
// container. Others see the time of a folder up to half a minute late if it is on a network, but what is in a file at
// once.

import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readTextIfAny } from '../../shared/files/text-file.js';
import { unless } from '../../shared/process/unless.js';

const signEveryMs = 2000;
const lookEveryMs = 250;
/** If there was no other sign for so long, the process was killed. */
const abandonedMs = 20_000;

/** No other process does this work until it has ended. */
export interface Claim {
  readonly folder: string;
  /** Removes the folder, with all that is in it, once: another process may claim it then. */
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
  let seen: { sign: string | undefined; at: number } | undefined;
  while (!makeFolder(folder)) {
    const sign = readTextIfAny(signIn(folder));
    const at = performance.now();
    if (!seen) options.onWait?.();
    if (!seen || sign !== seen.sign) seen = { sign, at };
    else if (at - seen.at > abandonedMs) await removeAbandoned(folder);
    await unless(options.signal, delay(lookEveryMs));
  }
  giveSign(folder);
  const giving = setInterval(giveSign, signEveryMs, folder);
  let ended: Promise<void> | undefined;
  const end = () => {
    clearInterval(giving);
    ended ??= remove(folder);
    return ended;
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

function giveSign(folder: string): void {
  try {
    writeFileSync(signIn(folder), randomUUID());
  } catch {
    // The folder cannot be written to any more, or another process has taken it over. The work finds that, too.
  }
}

function signIn(folder: string): string {
  return path.join(folder, 'sign-of-life');
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
