// Writes what a build makes while a service of the same clone may read it: every npm command builds first.

import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** Fills a folder with these files by their names, and removes all others. No file is missing or half-written meanwhile. */
export function fillFolder(folder: string, files: ReadonlyMap<string, string | Uint8Array>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of files) replaceFile(path.join(folder, name), content);
  for (const name of readdirSync(folder)) {
    if (!files.has(name)) rmSync(path.join(folder, name), { recursive: true, force: true });
  }
}

/** Writes a file in one go. Its folder may be filled by another process at the same time. */
export function replaceFile(file: string, content: string | Uint8Array): void {
  const part = `${path.dirname(file)}.${process.pid}.part`;
  writeFileSync(part, content);
  renameSync(part, file);
}
