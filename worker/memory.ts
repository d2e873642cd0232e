// Whether a model fits into memory. It is refused before it is loaded: a process that runs out of memory is killed,
// with all of its models.

import os from 'node:os';
import { ScorelineError } from '../shared/errors.js';
import { readTextIfAny } from '../shared/files/text-file.js';
import { describedBytes, type Manifest } from '../shared/manifest/manifest.js';
import { bytesToLoad, loadFactor, spareBytes } from '../shared/registry/load-memory.js';
import { threadsOfCopies } from './engine/instances.js';

export interface Memory {
  /** How much the process can still get. */
  readonly availableBytes: number;
  /** What bounds that, for messages. */
  readonly bound: string;
}

/** Bounds what is loaded at a time by the memory that is there. */
export class MemoryRoom {
  readonly #read: () => Memory;
  #promisedBytes = 0;

  constructor(read: () => Memory = () => readMemory()) {
    this.#read = read;
  }

  /**
   * Promises a model the memory that it needs. Returns a function to call when the model is loaded or has failed.
   * @throws ScorelineError `memory_insufficient`, with the figures
   */
  reserve({
    name,
    version,
    source,
    engine,
    device,
  }: Pick<Manifest, 'name' | 'version' | 'source' | 'engine' | 'device'>): () => void {
    const bytes = describedBytes(source);
    const { instances } = device;
    // A copy for runs that start alone comes on top, and shares the weights of the others.
    const isOneMore = threadsOfCopies({ engine, device }).length > instances;
    const needed = bytesToLoad({ source, device }) + (isOneMore ? spareBytes : 0);
    const { availableBytes, bound } = this.#read();
    const free = Math.max(0, availableBytes - this.#promisedBytes);
    if (needed > free) {
      throw new ScorelineError(
        'memory_insufficient',
        `${name}: expected ${show(needed, Math.ceil)} of memory to load version ${version}, ${loadFactor} times the ${show(bytes)} of its files and ${show(spareBytes)}${instances > 1 ? ` for each of ${instances} instances` : ''}${isOneMore ? `, and ${show(spareBytes)} for one copy more` : ''}; got ${show(free, Math.floor)} (${bound}). Give the worker more memory, or unload another model.`,
      );
    }
    this.#promisedBytes += needed;
    let isHeld = true;
    return () => {
      if (isHeld) this.#promisedBytes -= needed;
      isHeld = false;
    };
  }
}

/**
 * Reads how much memory the process can still get: that of the machine, or less in a container with a limit.
 * @param root where `/proc` and `/sys` are
 */
export function readMemory(root = '/'): Memory {
  const read = (file: string) => readTextIfAny(`${root}${file}`);
  const meminfo = /^MemAvailable:\s+(\d+) kB/m.exec(read('proc/meminfo') ?? '')?.[1];
  const ofMachine = meminfo === undefined ? os.freemem() : Number(meminfo) * 1024;
  const machine = { availableBytes: ofMachine, bound: 'available on this machine' };
  const container = readLimit(read);
  return container && container.availableBytes < ofMachine ? container : machine;
}

/** Files that the kernel can drop from its cache count as used, so they are subtracted. */
function readLimit(read: (file: string) => string | undefined): Memory | undefined {
  const group = 'sys/fs/cgroup';
  const [limit, used, statistics, cached] = read(`${group}/memory.max`)
    ? ['memory.max', 'memory.current', 'memory.stat', 'inactive_file']
    : [
        'memory/memory.limit_in_bytes',
        'memory/memory.usage_in_bytes',
        'memory/memory.stat',
        'total_inactive_file',
      ];
  const limitBytes = Number(read(`${group}/${limit}`) ?? Number.NaN);
  const usedBytes = Number(read(`${group}/${used}`) ?? Number.NaN);
  // Without a limit, there is "max" or a huge number.
  if (!(limitBytes < os.totalmem() * 4) || Number.isNaN(usedBytes)) return undefined;
  const pattern = new RegExp(`^${cached} (\\d+)`, 'm');
  const cachedBytes = Number(pattern.exec(read(`${group}/${statistics}`) ?? '')?.[1] ?? 0);
  const availableBytes = Math.max(0, limitBytes - usedBytes + cachedBytes);
  return { availableBytes, bound: `left of the container's ${show(limitBytes)}` };
}

function show(bytes: number, round: (mebibytes: number) => number = Math.round): string {
  return `${round(bytes / 1024 ** 2)} MiB`;
}
