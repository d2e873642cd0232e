// The inputs of `npm run score`: the lines of a file, or the files of a folder, which are pictures for most models.
//
// An input that cannot be read, or is no single input, has a fault. It fails alone, and is not sent.

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { describeUnreadable, NoFile } from '../../shared/files/unreadable.js';
import { type InputName, readInputName } from '../../shared/input-name.js';
import { isJsonObject } from '../../shared/json-object.js';
import { shown } from '../../shared/shown.js';
import { wrong } from '../faults.js';
import { findFiles } from './files.js';
import { readLines } from './lines.js';

export interface CommandInput {
  /** Its place among the inputs, from 0. */
  readonly index: number;
  /** The `id` of a line, or the path of a file within its folder; undefined for a line without one. */
  readonly name: InputName | undefined;
  readonly contentType: 'application/json' | 'application/octet-stream';
  readonly body: string | Buffer;
  /** Tells inputs apart, so that an answer is not taken for that of an input or of options that have changed since. */
  readonly digest: string;
  /** Why the input cannot be scored. */
  readonly fault: ScorelineError | undefined;
}

export type InputKind = 'lines' | 'files';

export interface Inputs {
  readonly kind: InputKind;
  /** Links in the folder that lead nowhere, and so may hide files. */
  readonly brokenLinks: readonly string[];
  /** Files in the folder that are left out. */
  readonly others: readonly string[];
  count(): Promise<number>;
  /** Reads all of them, in order. May be called several times. */
  read(): AsyncIterable<CommandInput>;
}

/** A longer line fails. No string of JavaScript can hold half a gigabyte, such as a file that is one line. */
const lineBytesMax = 256 * 1024 ** 2;

/** Within these an id ends. */
const idBytesMax = 4096;

/** How many of the best classes to answer with. An answer depends on it, so it is part of the digest. */
type Top = string | undefined;

/**
 * Returns whether a place has lines or files.
 * @throws ScorelineError `configuration_invalid`
 */
export async function kindOfInputs(place: string): Promise<InputKind> {
  const found = await stat(place).catch((thrown) => {
    throw wrong(`Expected a file or a folder at ${place}; got ${codeOf(thrown)}.`);
  });
  if (found.isDirectory()) return 'files';
  if (!found.isFile()) {
    throw wrong(
      `Expected a file or a folder at ${place}; it ${describeUnreadable(new NoFile())}. Its lines are counted before they are sent, so write them to a file.`,
    );
  }
  await checkFirstLine(place);
  return 'lines';
}

/**
 * Opens a file of lines, or a folder.
 * @param isOfPictures whether only pictures are taken from a folder
 * @throws ScorelineError `configuration_invalid`
 */
export async function openInputs(
  place: string,
  { kind, top, isOfPictures }: { kind: InputKind; top?: Top; isOfPictures: boolean },
): Promise<Inputs> {
  if (kind === 'files') return openFiles(place, { top, isOfPictures });
  const count = () => countInputs(place);
  return { kind, brokenLinks: [], others: [], count, read: () => readInputs(place, top) };
}

async function openFiles(
  folder: string,
  { top, isOfPictures }: { top: Top; isOfPictures: boolean },
): Promise<Inputs> {
  const found = await findFiles(folder).catch((thrown) => {
    throw wrong(`Expected a folder that can be read at ${folder}; got: ${thrown.message}`);
  });
  const { brokenLinks } = found;
  const files = isOfPictures ? found.pictures : [...found.pictures, ...found.others].toSorted();
  const others = isOfPictures ? found.others : [];
  if (files.length === 0) {
    const links = brokenLinks.length === 0 ? '' : `, and links that lead nowhere: ${brokenLinks}`;
    const wanted = isOfPictures
      ? `pictures in the folder ${folder}, with the ending jpg, png, webp, gif, tiff or avif`
      : `files in the folder ${folder}`;
    throw wrong(`Expected ${wanted}; found none${links}.`);
  }
  const read = () => readFiles(folder, { files, top });
  return { kind: 'files', brokenLinks, others, count: async () => files.length, read };
}

/** Names an input for people. */
export function describe({ name, index, contentType }: CommandInput): string {
  if (contentType !== 'application/json') return String(name);
  return name === undefined ? `input ${index + 1}` : `input ${index + 1}, ${JSON.stringify(name)}`;
}

async function* readInputs(file: string, top: Top): AsyncGenerator<CommandInput> {
  let index = 0;
  for await (const line of readLines(file, lineBytesMax)) {
    if (isBlank(line)) continue;
    const digest = digestOf(line, top);
    yield { index: index++, contentType: 'application/json', digest, ...readInput(line) };
  }
}

async function countInputs(file: string): Promise<number> {
  let count = 0;
  for await (const line of readLines(file, lineBytesMax)) if (!isBlank(line)) count++;
  return count;
}

async function* readFiles(
  folder: string,
  { files, top }: { files: readonly string[]; top: Top },
): AsyncGenerator<CommandInput> {
  for (const [index, name] of files.entries()) {
    let body = Buffer.alloc(0);
    let fault: ScorelineError | undefined;
    try {
      body = await readFile(path.join(folder, name));
    } catch (thrown) {
      // Node puts this character in place of bytes that are no UTF-8.
      const hint = name.includes('\ufffd') ? ' Give it a name in UTF-8.' : '';
      fault = invalid(`Expected a file that can be read; got ${codeOf(thrown)}.${hint}`);
    }
    const digest = digestOf(body, top);
    yield { index, name, contentType: 'application/octet-stream', body, digest, fault };
  }
}

/** A file of another kind is refused before anything is sent. A broken line later on fails alone. */
async function checkFirstLine(file: string): Promise<void> {
  for await (const line of readLines(file, lineBytesMax)) {
    if (isBlank(line)) continue;
    // Bytes that are not UTF-8 and a wrong "id" are faults of this line, not of the file.
    const text = line.toString('utf8').replace(/^\ufeff/, '');
    if (objectIn(text)?.input !== undefined) return;
    throw wrong(
      `Expected a JSON object with the key "input" in each line of ${file}, as in {"input": "…"}; the first line is ${shown(text)}. JSON has no NaN: write null instead. docs/bulk.md makes lines of a CSV file.`,
    );
  }
  throw wrong(`Expected a JSON object in each line of ${file}; it is empty.`);
}

/** Reads a line as the service reads one of a stream. A list in a line would have several answers. */
function readInput(line: Buffer): Pick<CommandInput, 'name' | 'body' | 'fault'> {
  let name: InputName | undefined;
  try {
    if (line.length > lineBytesMax) {
      throw invalid(`Expected a line of up to ${lineBytesMax} bytes; got a longer one.`);
    }
    const body = decode(line);
    const { id, input } = parse(body);
    name = readInputName(id);
    if (input === undefined) {
      throw new ScorelineError(
        'input_missing',
        'Expected the key "input" in the line, as in {"input": "…"}; got none. A line has one input.',
      );
    }
    return { name, body, fault: undefined };
  } catch (thrown) {
    if (thrown instanceof ScorelineError) return { name: nameIn(line), body: '', fault: thrown };
    throw thrown;
  }
}

/** Reads the id of a line that may be broken. Only as the first key it is certainly the id of the line. */
function nameIn(line: Buffer): InputName | undefined {
  const first = /^\s*\{\s*"id"\s*:\s*("(?:[^"\\\ufffd]|\\.)*"|-?\d+)\s*,/;
  const start = line.subarray(0, idBytesMax).toString('utf8');
  const [, id = 'null'] = first.exec(start.replace(/^\ufeff/, '')) ?? [];
  try {
    return readInputName(JSON.parse(id));
  } catch {
    return undefined;
  }
}

/** Decodes a line and drops its byte order mark. A replacement character would change what is scored. */
function decode(line: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(line);
  } catch {
    throw invalid('Expected a line in UTF-8; got bytes that are not valid in it.');
  }
}

/** @throws ScorelineError `invalid_json` */
function parse(line: string): Readonly<Record<string, unknown>> {
  const object = objectIn(line);
  if (object) return object;
  throw new ScorelineError(
    'invalid_json',
    `Expected a JSON object in the line, as in {"input": "…"}; got ${shown(line)}. An object has to be in one line, and a line has one object. JSON has no NaN: write null instead.`,
  );
}

function isBlank(line: Buffer): boolean {
  return line.toString('utf8').trim() === '';
}

function objectIn(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function digestOf(body: Buffer, top: Top): string {
  const hash = createHash('sha256').update(`${top ?? ''}\n`);
  return hash.update(body).digest('hex').slice(0, 16);
}

function codeOf(thrown: unknown): string {
  const { code, message } = coerceError(thrown) as NodeJS.ErrnoException;
  return code === 'ENOENT' ? 'none' : (code ?? message);
}

function invalid(message: string): ScorelineError {
  return new ScorelineError('input_invalid', message);
}
