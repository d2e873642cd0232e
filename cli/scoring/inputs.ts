// The inputs of `npm run score`: the lines of a file, or the pictures of a folder.

import { createHash } from 'node:crypto';
import { createReadStream, type Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { coerceError, ScorelineError } from '../../shared/errors.js';

export interface CommandInput {
  /** Its place among the inputs, from 0. */
  readonly index: number;
  /** The `id` of a line, or the path of a picture within its folder; undefined for a line without one. */
  readonly name: string | number | undefined;
  readonly contentType: 'application/json' | 'application/octet-stream';
  readonly body: string | Buffer;
  /** Tells inputs apart, so that an answer is not taken for that of an input which has changed since. */
  readonly digest: string;
}

export type InputKind = 'lines' | 'pictures';

export interface Inputs {
  readonly kind: InputKind;
  count(): Promise<number>;
  /** Reads all of them, in order. May be called several times. */
  read(): AsyncIterable<CommandInput>;
}

const pictures = /\.(jpe?g|png|webp|gif|tiff?|avif)$/i;

/**
 * Opens a file of lines, or a folder of pictures.
 * @throws ScorelineError `configuration_invalid`
 */
export async function openInputs(place: string): Promise<Inputs> {
  const found = await stat(place).catch((thrown) => {
    throw wrong(`Expected a file or a folder at ${place}; got ${codeOf(thrown)}.`);
  });
  if (!found.isDirectory()) {
    await checkFirstLine(place);
    return { kind: 'lines', count: () => countLines(place), read: () => readLines(place) };
  }
  const files = await listPictures(place);
  const count = async () => files.length;
  if (files.length > 0) return { kind: 'pictures', count, read: () => readPictures(place, files) };
  throw wrong(
    `Expected pictures in the folder ${place}, with the ending jpg, png, webp, gif, tiff or avif; found none.`,
  );
}

/** Names an input for people. */
export function describe({ name, index, contentType }: CommandInput): string {
  if (contentType !== 'application/json') return String(name);
  return name === undefined ? `input ${index + 1}` : `input ${index + 1}, ${JSON.stringify(name)}`;
}

async function* readLines(file: string): AsyncGenerator<CommandInput> {
  let index = 0;
  for await (const line of linesOf(file)) {
    if (line.trim() === '') continue;
    yield {
      index: index++,
      name: nameIn(line),
      contentType: 'application/json',
      body: line,
      digest: digestOf(line),
    };
  }
}

async function countLines(file: string): Promise<number> {
  let count = 0;
  for await (const line of linesOf(file)) if (line.trim() !== '') count++;
  return count;
}

async function* readPictures(
  folder: string,
  files: readonly string[],
): AsyncGenerator<CommandInput> {
  for (const [index, name] of files.entries()) {
    const body = await readFile(path.join(folder, name));
    const digest = digestOf(body);
    yield { index, name, contentType: 'application/octet-stream', body, digest };
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = createReadStream(file, 'utf8');
  let isFirst = true;
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    yield isFirst ? line.replace(/^\ufeff/, '') : line;
    isFirst = false;
  }
}

/** A file of another kind is refused before anything is sent. A broken line later on fails alone. */
async function checkFirstLine(file: string): Promise<void> {
  for await (const line of linesOf(file)) {
    if (line.trim() === '') continue;
    if (objectIn(line)?.input !== undefined) return;
    throw wrong(
      `Expected a JSON object with the key "input" in each line of ${file}, as in {"input": "…"}; the first line is ${show(line)}.`,
    );
  }
  throw wrong(`Expected a JSON object in each line of ${file}; it is empty.`);
}

async function listPictures(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const isPicture = (entry: Dirent) => entry.isFile() && pictures.test(entry.name);
  const toName = ({ parentPath, name }: Dirent) =>
    path.relative(folder, path.join(parentPath, name));
  return entries.filter(isPicture).map(toName).toSorted();
}

function nameIn(line: string): string | number | undefined {
  const id = objectIn(line)?.id;
  return typeof id === 'string' || typeof id === 'number' ? id : undefined;
}

function objectIn(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function digestOf(body: string | Buffer): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 16);
}

function show(line: string): string {
  return JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}…` : line);
}

function codeOf(thrown: unknown): string {
  const { code, message } = coerceError(thrown) as NodeJS.ErrnoException;
  return code === 'ENOENT' ? 'none' : (code ?? message);
}

function wrong(message: string): ScorelineError {
  return new ScorelineError('configuration_invalid', message);
}
