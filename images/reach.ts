// What a built program can reach: its files, and the packages that those files import.
//
// An image holds what its entry points reach and nothing else. So the API's has no ONNX Runtime and
// the worker's has no Express, without a list that somebody would have to keep.

import { existsSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';

export interface Reached {
  /** Paths of our own files, in the order in which they were found. */
  readonly files: readonly string[];
  /** The names of the packages that they import. */
  readonly packages: readonly string[];
}

/** Follows the imports of built files. Throws if one of them names a file that is not there. */
export function reach(entries: readonly string[]): Reached {
  const files = new Set(entries);
  const packages = new Set<string>();
  for (const file of files) {
    for (const specifier of specifiersIn(readFileSync(file, 'utf8'))) {
      if (specifier.startsWith('.')) {
        const next = path.join(path.dirname(file), specifier);
        if (!existsSync(next)) {
          throw new Error(`${file}: expected the file ${next}, which it imports; there is none`);
        }
        files.add(next);
      } else if (!isBuiltin(specifier)) {
        packages.add(packageOf(specifier));
      }
    }
  }
  return { files: [...files], packages: [...packages] };
}

/**
 * Lists what a file names as code: imports in every syntax, and URLs relative to itself, which start
 * threads and processes. Every name must be written out: a computed one would be overlooked.
 */
export function specifiersIn(text: string): string[] {
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => match[1] as string),
  );
}

const patterns = [
  /^(?:import|export)\b[^;'"]*?\bfrom\s+['"]([^'"]+)['"]/gm,
  /^import\s+['"]([^'"]+)['"]/gm,
  /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  /\brequire\(\s*['"]([^'"]+)['"]\s*\)/g,
  /\bnew URL\(\s*['"](\.[^'"]+\.m?js)['"]\s*,\s*import\.meta\.url\s*\)/g,
];

/** `@scope/name/inner.js` belongs to the package `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}
