// Puts the files of an image into a folder: a role's program, the packages it uses, and the licences.

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bundleOf } from '../shared/process/programs.js';
import { isNeededFile, withDependencies } from './packages.js';
import { reach } from './reach.js';

export const imageRoles = ['api', 'worker'] as const;
export type ImageRole = (typeof imageRoles)[number];

/** The command that makes API keys comes with the API, which knows the Redis that keeps them. */
const extras: Readonly<Record<ImageRole, readonly string[]>> = { api: ['cli/keys.js'], worker: [] };

/** What a role runs or serves that no import leads to: files and folders. */
const others: Readonly<Record<ImageRole, readonly string[]>> = {
  api: ['dist/docs', 'dist/api/playground/page.html', 'dist/api/playground/samples'],
  worker: ['worker/engine/python/host.py'],
};

/**
 * Writes the program of a role. `built` is a checkout with its `dist`, and `installed` a folder with
 * the production packages. Throws if the program imports what is not there.
 */
export function assemble(options: {
  role: ImageRole;
  built: string;
  installed: string;
  target: string;
}): void {
  const { role, built, installed, target } = options;
  const entries = [`${role}/main.js`, 'cli/launch.js', 'cli/probe.js', ...extras[role]];
  const reached = reach(entries.map((entry) => path.join(built, 'dist', entry)));
  for (const file of reached.files) copy(built, target, path.relative(built, file));
  // What starts is the bundle. The files that it was made of have the licences of their packages beside them.
  const bundle = bundleOf(built);
  for (const file of partsOf(bundle, `${role}.js`)) {
    cpSync(path.join(bundle, file), path.join(bundleOf(target), file));
  }
  for (const folder of withDependencies(installed, reached.packages)) {
    for (const file of filesIn(path.join(installed, folder))) {
      if (isNeededFile(folder, file)) copy(installed, target, path.join(folder, file));
    }
  }
  for (const file of ['LICENSE', 'NOTICE', ...others[role]]) copy(built, target, file);
  // Without the scripts and the development packages, none of which work in an image.
  const file = JSON.parse(readFileSync(path.join(built, 'package.json'), 'utf8'));
  const { name, version, license, type } = file;
  const text = `${JSON.stringify({ name, version, license, type }, null, 2)}\n`;
  writeFileSync(path.join(target, 'package.json'), text);
}

/** Returns the files of a folder of bundles that one of them names, itself or by others. */
function partsOf(folder: string, entry: string): ReadonlySet<string> {
  const names = readdirSync(folder);
  const parts = new Set([entry]);
  for (const part of parts) {
    const text = readFileSync(path.join(folder, part), 'utf8');
    for (const name of names) if (text.includes(`"./${name}"`)) parts.add(name);
  }
  return parts;
}

function copy(from: string, to: string, file: string): void {
  mkdirSync(path.dirname(path.join(to, file)), { recursive: true });
  cpSync(path.join(from, file), path.join(to, file), { dereference: true, recursive: true });
}

/** The files of a package, without those of packages installed inside it. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((file) => !file.split(path.sep).includes('node_modules'));
}
