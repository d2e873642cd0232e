// Reads the repository's source text for tests.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { specifiersIn } from '../../images/reach.js';
import { packageDirectory } from '../../shared/version.js';

export interface Source {
  /** Relative to the repository, as in `api/kinds/text.ts`. */
  readonly file: string;
  readonly text: string;
}

/** Reads every TypeScript file below these folders. */
export function readSources(...folders: string[]): Source[] {
  const root = packageDirectory();
  return folders.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => path.join(folder, name))
      .map((file) => ({ file, text: readFileSync(path.join(root, file), 'utf8') })),
  );
}

/** Lists the imports and re-exports of a file: packages by name, our own files by path. */
export function importsOf({ file, text }: Source): string[] {
  return specifiersIn(text).map((name) =>
    name.startsWith('.') ? path.join(path.dirname(file), name) : name,
  );
}
