// Whether dist/ was built from the files as they are. This file is plain JavaScript, because nothing may be built yet.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What no build reads: other values of a cluster, what was generated, and what Python leaves beside a script. */
const isOther = (name) => /^\.|^(generated|__pycache__)$|\.(ya?ml|pyc?)$/.test(name);

/**
 * Describes all files of a project that a build may read, by their sizes and times of change: those in the folders that
 * are compiled, the documents, and in the root what is Markdown or describes the project. What else people put beside
 * them, such as a model, its inputs or an environment, waits for no compiler.
 */
export function describeSources(root) {
  const hash = createHash('sha256');
  const addFile = (file) => {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${path.relative(root, file)}\0${size}\0${mtimeMs}\n`);
  };
  const addFolder = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (isOther(entry.name)) continue;
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) addFolder(file);
      else if (entry.isFile()) addFile(file);
    }
  };
  for (const name of readdirSync(root)) {
    if (/^(package|tsconfig).*\.json$|\.md$/.test(name)) addFile(path.join(root, name));
  }
  for (const name of [...compiledIn(root), 'docs']) {
    if (existsSync(path.join(root, name))) addFolder(path.join(root, name));
  }
  return hash.digest('hex');
}

function compiledIn(root) {
  const file = path.join(root, 'tsconfig.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).include : [];
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
