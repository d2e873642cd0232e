// The files of a model: the ONNX file and its external data. They are in the model's folder, or in a
// cache of downloads. External data is always beside its ONNX file, as that file says. The files of a
// Python program are always in its folder, where it looks for them.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../errors.js';
import { describeUnreadable } from '../files/unreadable.js';
import { describedFiles, type Manifest, type SourceFile } from '../manifest/manifest.js';

/**
 * How many times the bytes of its files an ONNX model may take as ONNX Runtime has optimised it: 1.0 to 1.3 for
 * convolutions, 5.8 for a transformer of 8-bit integers, whose weights are kept twice (measured).
 */
export const optimizedFactor = 6;

/** The part of a model that says where its files are. */
export interface Located {
  readonly manifest: Manifest;
  readonly folder: string;
  /**
   * The path of the ONNX file or Python program, in the model's folder or in the cache of downloads. On a machine that
   * only runs the API, the file may be missing.
   */
  readonly file: string;
}

export interface ModelFile extends SourceFile {
  readonly path: string;
}

/**
 * Returns the files that a worker needs to load the model and whose checksums are known: the ONNX file
 * first, or those that a Python program reads.
 */
export function filesOf({ manifest: { source }, file }: Located): readonly ModelFile[] {
  const beside = (other: string) =>
    path.join(path.dirname(file), path.relative(path.dirname(source.file), other));
  return describedFiles(source).map((described) => ({
    ...described,
    path: described === source ? file : beside(described.file),
  }));
}

/** Returns the first of the model's files that does not exist. */
export function missingFile(model: Located): ModelFile | undefined {
  return filesOf(model).find((file) => !existsSync(file.path));
}

export function fileMissing({ manifest }: Located, { path, urls }: ModelFile): ScorelineError {
  const remedy =
    urls.length > 0 ? `Get it with: npm run models -- pull ${manifest.name}` : 'Put it there.';
  return new ScorelineError(
    'model_file_missing',
    `${manifest.name}: expected the file ${path}; there is none. ${remedy}`,
  );
}

/** Returns the fault of a model with a file that this process must not read; undefined if the error is another one. */
export function closedFile(name: string, thrown: unknown): ScorelineError | undefined {
  const { code, path } = thrown as NodeJS.ErrnoException;
  if (code !== 'EACCES' || path === undefined) return undefined;
  return new ScorelineError(
    'model_file_wrong',
    `${name}: ${path}: expected a file of the model; it ${describeUnreadable(thrown)}`,
    { cause: thrown },
  );
}

/** Whether a model's files have their place in the cache of downloads, and not in its folder. */
export function isInCache({ file, folder, manifest }: Located): boolean {
  return file !== path.join(folder, manifest.source.file);
}

/**
 * Returns the path of the ONNX file of the model in a folder, or of its Python program. Files that can be downloaded and are not
 * in the folder have their place in the cache, if there is one, named by their checksums.
 */
export function placeOf(folder: string, { source }: Manifest, cache: string | undefined): string {
  const own = path.join(folder, source.file);
  if (source.engine === 'python') return own;
  const files = describedFiles(source);
  const areHere = files.every(({ file }) => existsSync(path.join(folder, file)));
  const canBeDownloaded = files.every(({ urls }) => urls.length > 0);
  if (cache === undefined || areHere || !canBeDownloaded) return own;
  if (files.length === 1) return path.join(cache, `${source.sha256}${path.extname(source.file)}`);
  const digest = createHash('sha256').update(files.map(({ sha256 }) => sha256).join(' '));
  return path.join(cache, digest.digest('hex'), source.file);
}
