// Verifies that a model's files are those that its manifest describes: the ONNX file and its
// external data, by size and SHA-256. Then it verifies that the ONNX file needs nothing else: no other
// file and no custom operator. ONNX Runtime gets a model only after that.
//
// Hashing takes a second for each gigabyte or two, so a file's hash is kept beside its size and its
// times, and a later start does not read the file again. The time of change counts too, because
// copying can preserve the time of modification.

import { createHash } from 'node:crypto';
import {
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../../shared/errors.js';
import { isInnerPath } from '../../shared/files/inner-path.js';
import { sha256Of } from '../../shared/files/sha256.js';
import { codeSha256 } from '../../shared/python/code.js';
import {
  closedFile,
  fileMissing,
  filesOf,
  type ModelFile,
  missingFile,
} from '../../shared/registry/files.js';
import type { Model } from '../../shared/registry/models.js';
import { checkBounds } from './bounds.js';
import { type OutsideNeeds, readOutsideNeeds } from './onnx-file.js';
import { findOperatorFault } from './operators.js';
import { UnreadableBuffer } from './protocol-buffer.js';

/** Smaller files are read each time, which takes milliseconds. */
const keptBytesMin = 1_000_000;

/**
 * Verifies the files of a model.
 * @param hashes the folder where hashes are kept; undefined to read every file
 * @throws ScorelineError `model_file_missing`; `model_file_wrong` with both sizes and hashes, or with what
 * the ONNX file must not have; `manifest_invalid` if it has external data that the manifest does not name
 */
export async function verifyFiles(model: Model, hashes?: string): Promise<void> {
  checkBounds(model);
  const missing = missingFile(model);
  if (missing) throw fileMissing(model, missing);
  const files = filesOf(model);
  for (const file of files) {
    const difference = await differenceOf(file, hashes).catch((thrown) => {
      throw closedFile(model.name, thrown) ?? thrown;
    });
    if (difference === undefined) continue;
    throw wrong(model, file.path, `${difference}. ${remedyFor(model, file)}`);
  }
  verifyCode(model);
  const [onnx, ...data] = files;
  if (onnx && model.manifest.engine === 'onnx') await verifyNeeds(model, onnx, data);
}

/** Verifies that a program is still the one that API and worker agree on. */
function verifyCode(model: Model): void {
  const { name, version, folder, codeSha256: expected } = model;
  const { source } = model.manifest;
  if (expected === undefined || source.engine !== 'python') return;
  if (codeSha256(folder, name, source) === expected) return;
  const fault = `expected the code of version ${version}, as it was when the model was read; it changed. Write a new version into a folder beside ${folder}.`;
  throw wrong(model, path.join(folder, source.file), fault);
}

/** Verifies that the ONNX file needs nothing but the other files. */
async function verifyNeeds(
  model: Model,
  onnx: ModelFile,
  data: readonly ModelFile[],
): Promise<void> {
  const needs = needsOf(model, onnx.path);
  const fault = findNeedsFault(needs);
  if (fault !== undefined) throw wrong(model, onnx.path, fault);
  const named = new Set(data.map((file) => path.normalize(file.path)));
  for (const location of needs.externalData) {
    const file = path.join(path.dirname(onnx.path), location);
    if (!named.has(file)) throw await notNamed(model, location, file);
  }
}

function needsOf(model: Model, file: string) {
  if (/\.ort$/i.test(file)) {
    const fault = 'expected an ONNX model; got one in the ORT format. Export the model to ONNX.';
    throw wrong(model, file, fault);
  }
  try {
    return readOutsideNeeds(file);
  } catch (thrown) {
    if (!(thrown instanceof UnreadableBuffer)) throw thrown;
    const fault = `expected an ONNX model; got a file that cannot be read ${thrown.message}. Export the model again.`;
    throw wrong(model, file, fault);
  }
}

/** Says what an ONNX file needs and will never get; undefined if there is no such thing. */
export function findNeedsFault({ externalData, operators }: OutsideNeeds): string | undefined {
  return findLocationFault(externalData) ?? findOperatorFault(operators);
}

/** Says what is wrong with where weights are; undefined if nothing is. */
function findLocationFault(locations: readonly string[]): string | undefined {
  // ONNX Runtime takes locations like this one for addresses in its memory: */_ORT_MEM_ADDR_/*
  const outer = locations.find((text) => !isInnerPath(text) || text.startsWith('*/'));
  if (outer === undefined) return undefined;
  return `expected external data in the folder of the ONNX file; it keeps weights in ${JSON.stringify(outer.slice(0, 200))}. A worker reads no other files. Export the model again, with its external data beside it.`;
}

function wrong({ name }: Model, file: string, fault: string): ScorelineError {
  return new ScorelineError('model_file_wrong', `${name}: ${file}: ${fault}`);
}

/** Says how a file differs from what the manifest describes, or returns undefined if it does not. */
export async function differenceOf(
  { path: file, bytes, sha256 }: ModelFile,
  hashes?: string,
): Promise<string | undefined> {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile()) return 'expected a file; there is none';
  const isKept = hashes !== undefined && stats.size >= keptBytesMin;
  const got = isKept ? await knownSha256(file, stats, hashes) : await sha256Of(file);
  if (stats.size === bytes && got === sha256) return undefined;
  return `expected ${bytes} bytes with SHA-256 ${sha256}; got ${stats.size} bytes with ${got}`;
}

function remedyFor({ name }: Model, { path: file, urls }: ModelFile): string {
  const stats = statSync(file);
  const { size } = stats;
  if (
    stats.isFile() &&
    size < 1024 &&
    readFileSync(file, 'utf8').startsWith('version https://git-lfs')
  ) {
    return 'It is a pointer of Git LFS. Get the file with: git lfs pull';
  }
  if (urls.length > 0) return `Get it again with: npm run models -- pull ${name}`;
  if (stats.isFile() && size === 0) return 'The file is empty. Export the model again.';
  return 'Put the right file there, or correct source in the manifest and give it a new version.';
}

async function notNamed(model: Model, location: string, file: string): Promise<ScorelineError> {
  const source = model.manifest.source.file;
  const name = path.join(path.dirname(source), location);
  const stats = statSync(file, { throwIfNoEntry: false });
  const remedy = stats?.isFile()
    ? `Add it to the manifest, within source: externalData: [{ file: ${name}, bytes: ${stats.size}, sha256: ${await sha256Of(file)} }]`
    : `There is no file ${file}: put it there, and add it to the manifest`;
  return new ScorelineError(
    'manifest_invalid',
    `${model.name}: source.externalData: expected every file in which ${source} keeps weights; it also keeps some in ${name}. ${remedy}`,
  );
}

/** Returns the SHA-256 of a file, which is only read if it has changed since it was read last. */
async function knownSha256(file: string, stats: Stats, directory: string): Promise<string> {
  const name = createHash('sha256').update(realpathSync(file)).digest('hex').slice(0, 32);
  const kept = path.join(directory, `${name}.json`);
  const known = readKept(kept);
  if (known && isUnchanged(known, stats)) return known.sha256;
  const sha256 = await sha256Of(file);
  // A file that was written while it was read must be read again.
  if (isUnchanged(stampOf(stats), statSync(file))) keep(kept, { ...stampOf(stats), sha256 });
  return sha256;
}

/** While these stay the same, a file is unchanged. */
interface Stamp {
  readonly bytes: number;
  readonly modifiedMs: number;
  readonly changedMs: number;
}

function stampOf({ size, mtimeMs, ctimeMs }: Stats): Stamp {
  return { bytes: size, modifiedMs: mtimeMs, changedMs: ctimeMs };
}

function isUnchanged(stamp: Stamp, stats: Stats): boolean {
  const { bytes, modifiedMs, changedMs } = stampOf(stats);
  return stamp.bytes === bytes && stamp.modifiedMs === modifiedMs && stamp.changedMs === changedMs;
}

type Kept = Stamp & { readonly sha256: string };

function readKept(file: string): Kept | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Keeps a hash if that is possible: a container's file system may be read-only. */
function keep(file: string, kept: Kept): void {
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    // Renamed into place, because other workers may read it meanwhile.
    const part = `${file}.${process.pid}`;
    writeFileSync(part, JSON.stringify(kept));
    renameSync(part, file);
  } catch {}
}
