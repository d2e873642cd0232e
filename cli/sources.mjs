// Whether dist/ was built from the files as they are. This file is plain JavaScript, because nothing may be built yet.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What no build reads. A new model, or other values of a cluster, wait for no compiler. */
const others = new Set(['node_modules', 'dist', 'data', 'coverage', 'generated']);
const isOther = (file) =>
  others.has(path.basename(file)) || file === 'models' || /\.ya?ml$/.test(file);

/** Describes all files of a project that a build may read, by their sizes and times of change. */
export function describeSources(root) {
  const hash = createHash('sha256');
  const add = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      if (entry.name.startsWith('.') || isOther(path.relative(root, file))) continue;
      if (entry.isDirectory()) add(file);
      else if (entry.isFile()) {
        const { size, mtimeMs } = statSync(file);
        hash.update(`${path.relative(root, file)}\0${size}\0${mtimeMs}\n`);
      }
    }
  };
  add(root);
  return hash.digest('hex');
}

/** Returns whether dist/ is whole, and was built from these. */
export function isBuiltFrom(root, sources) {
  return existsSync(fileOf(root)) && readFileSync(fileOf(root), 'utf8') === sources;
}

/** @param sources what dist/ is built from; undefined while it is built, since a build may fail halfway */
export function noteBuilt(root, sources) {
  if (sources === undefined) rmSync(fileOf(root), { force: true });
  else writeFileSync(fileOf(root), sources);
}

function fileOf(root) {
  return path.join(root, 'dist', 'built-from');
}
