// Copies of a model share its weights.
//
// Each session of ONNX Runtime rearranges the weights for the processor, and keeps them in memory of its own. But weights
// in a file beside the network are only mapped. So the network is optimised once and written with such a file, and all
// copies open that: their weights are in memory once, and they open faster. The files are for this machine and this
// load only. They are deleted when the copies are open; what is mapped stays until they close.

import { mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { optimizedFactor } from '../../shared/registry/files.js';
import type { OptimizeOptions } from './messages.js';
import { startRuntimeThread } from './runtime-thread.js';

/** How much room is left free where the files are written. */
const spareBytes = 64 * 1024 * 1024;
const prefix = 'scoreline-weights-';
/** A folder that is older was left by a worker that ended while it loaded. */
const abandonedMs = 10 * 60_000;

/** A network whose weights are mapped. */
export interface SharedNetwork {
  /** The path of its ONNX file, to be opened as it is. */
  readonly file: string;
  /** Deletes its files. */
  remove(): Promise<void>;
}

/**
 * Optimises a network for this machine's processor, and writes it to a folder for temporary files.
 * @param bytes the size of its files
 * @throws Error if it cannot be loaded or written
 */
export async function shareWeights(file: string, bytes: number): Promise<SharedNetwork> {
  const parent = os.tmpdir();
  await removeAbandoned(parent);
  const { bavail, bsize } = await statfs(parent);
  const needed = optimizedFactor * bytes + spareBytes;
  if (bavail * bsize < needed) throw new Error(`${parent} has no room for ${needed} bytes`);
  const folder = await mkdtemp(path.join(parent, prefix));
  const remove = () => removeFolder(folder);
  const network = { file: path.join(folder, 'model.onnx'), remove };
  try {
    await optimize({ from: file, to: network.file });
  } catch (thrown) {
    await remove();
    throw thrown;
  }
  return network;
}

async function removeAbandoned(parent: string): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(prefix));
  for (const name of names) {
    const folder = path.join(parent, name);
    const changedAt = await stat(folder).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (Date.now() - changedAt > abandonedMs) await removeFolder(folder);
  }
}

/** If a folder cannot be removed now, another worker removes it later. */
async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true }).catch(() => {});
}

function optimize(options: OptimizeOptions): Promise<void> {
  const script = new URL('./optimize-thread.js', import.meta.url);
  const thread = startRuntimeThread(script, 'optimize', options);
  return new Promise((resolve, reject) => {
    thread.on('error', reject);
    thread.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`the thread ended with ${code}`)),
    );
  });
}
