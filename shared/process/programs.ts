// The programs of Scoreline, as files. A build joins each with what it loads at its start, a bundle, which starts in half
// of the time (cli/build/bundle.ts). After a change that was compiled without that, the files themselves are the program.

import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { packageDirectory } from '../version.js';

/** What each bundle begins with, below `dist`. */
export const bundles = {
  api: 'api/main.js',
  worker: 'worker/main.js',
  quarantine: 'worker/quarantine/main.js',
  'engine-thread': 'worker/engine/engine-thread.js',
  'description-thread': 'api/description/description-thread.js',
  'optimize-thread': 'worker/engine/optimize-thread.js',
} as const;

/** Returns the file with which a role starts. */
export function mainOf(role: 'api' | 'worker', root = packageDirectory()): string {
  const bundle = path.join(bundleOf(root), `${role}.js`);
  return existsSync(bundle) ? bundle : path.join(root, 'dist', bundles[role]);
}

/**
 * Returns the folder with the bundles of the present build. The compiler and npm write their notes anew whenever they
 * change something. An image has no such notes, since nothing changes there.
 */
export function bundleOf(root: string): string {
  const notes = ['dist/.tsbuildinfo', 'node_modules/.package-lock.json'];
  const changedAt = notes.map((file) => {
    const stat = statSync(path.join(root, file), { throwIfNoEntry: false });
    return stat ? Math.round(stat.mtimeMs) : 'none';
  });
  return path.join(root, 'dist/bundle', changedAt.join('-'));
}
