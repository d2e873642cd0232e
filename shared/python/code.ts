// The code of a model whose engine is Python: its program, the modules beside it, and the list of its
// packages. API and worker compare it by a digest, so a changed program is a changed model.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../errors.js';
import type { PythonSource } from '../manifest/manifest.js';

/** Names of hidden files and of caches, which are no code of the model. */
const isOther = /^(?:\.|__pycache__$|node_modules$)/;
/** A folder with one of these has other code than the model's: an environment, or another version. */
const isOthersWith = ['pyvenv.cfg', 'conda-meta', 'model.yaml'];

/** Finds the further lists that a list names, of packages or of constraints. A name with blanks is in quotes. */
const include =
  /^[ \t]*(?:-r|-c|--requirement|--constraint)[ \t=]*(?:"([^"\n]+)"|'([^'\n]+)'|(\S+))/gm;

/**
 * Returns the files of the code, as sorted paths relative to the model's folder.
 * @throws ScorelineError `model_file_missing` if the program or the list of packages is not there
 */
export function codeFiles(folder: string, name: string, source: PythonSource): string[] {
  for (const key of ['file', 'requirements'] as const) {
    const file = source[key];
    if (!isFile(path.join(folder, file))) throw missing({ folder, name, key, file });
  }
  const lists = requirementLists(folder, source.requirements);
  return [...new Set([source.file, ...lists, ...modulesIn(folder)])].sort();
}

/** Returns a list of packages with those that it includes and that are in the model's folder, each once. */
export function requirementLists(folder: string, list: string): string[] {
  const lists = new Set([path.posix.normalize(list)]);
  // A set visits what is added meanwhile.
  for (const each of lists) {
    for (const included of includedIn(readFileSync(path.join(folder, each), 'utf8'))) {
      const other = path.posix.join(path.posix.dirname(each), included);
      const isInside = !path.isAbsolute(included) && !other.startsWith('../');
      if (isInside && isFile(path.join(folder, other))) lists.add(other);
    }
  }
  return [...lists];
}

/** Reads a list as pip does: without a byte order mark, and a backslash at the end of a line joins it to the next one. */
function includedIn(list: string): string[] {
  const joined = list.replace(/^\uFEFF/, '').replace(/\\\r?\n/g, '');
  return [...joined.matchAll(include)].map((names) => names.slice(1).find(Boolean) ?? '');
}

/**
 * Returns the SHA-256 of the code, in hexadecimal digits.
 * @throws ScorelineError `model_file_missing`
 */
export function codeSha256(folder: string, name: string, source: PythonSource): string {
  const digest = createHash('sha256');
  for (const file of codeFiles(folder, name, source)) {
    const content = readFileSync(path.join(folder, file));
    digest.update(`${file}\0${content.byteLength}\0`).update(content);
  }
  return digest.digest('hex');
}

function modulesIn(folder: string, inner = ''): string[] {
  return readdirSync(path.join(folder, inner), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(inner, entry.name);
    const place = path.join(folder, name);
    if (isOther.test(entry.name)) return [];
    if (entry.isDirectory()) return isOthers(place) ? [] : modulesIn(folder, name);
    // A link that leads nowhere, as editors make them for a lock, is no module, nor is one to a folder.
    return entry.name.endsWith('.py') && isFile(place) ? [name] : [];
  });
}

/** Whether there is a file, or a link to one. */
function isFile(place: string): boolean {
  return existsSync(place) && statSync(place).isFile();
}

function isOthers(folder: string): boolean {
  return isOthersWith.some((name) => existsSync(path.join(folder, name)));
}

function missing(of: { folder: string; name: string; key: string; file: string }): ScorelineError {
  const remedy =
    of.key === 'requirements'
      ? 'Put the packages there that the program needs, or an empty file.'
      : 'Put a program there that defines predict(batch).';
  return new ScorelineError(
    'model_file_missing',
    `${of.name}: source.${of.key}: expected the file ${path.join(of.folder, of.file)}; there is none. ${remedy}`,
  );
}
