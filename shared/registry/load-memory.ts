// How much memory a model needs to be loaded.

import { describedBytes, type Manifest } from '../manifest/manifest.js';

/** How many times the bytes of its files a model takes while it is loaded (measured: docs/versions.md). */
export const loadFactor = 2.5;
/** How much a model takes beside its weights, for a thread and the arena of a run. */
export const spareBytes = 32 * 1024 * 1024;

/** Returns the bytes that a worker must have free to load the instances of a model. */
export function bytesToLoad({ source, device }: Pick<Manifest, 'source' | 'device'>): number {
  return device.instances * (loadFactor * describedBytes(source) + spareBytes);
}
