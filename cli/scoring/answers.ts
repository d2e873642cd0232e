// The answers of `npm run score`, a line for each input, and what earlier runs have left of them.
//
// An answer has the digest of its input, the model and its version. An input is done if a line without a problem has
// its digest, its place or name, the model, and one of the versions that answer now.
//
// A run replaces the file that an earlier run has left, so the last run to start owns it. A run whose file was replaced,
// moved or deleted fails at its next answer.

import {
  closeSync,
  existsSync,
  fchmodSync,
  fstatSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import process from 'node:process';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { shown } from '../../shared/shown.js';
import { wrong } from '../faults.js';
import { writeAsWritten } from './as-written.js';
import type { CommandInput, Inputs } from './inputs.js';
import { readLines } from './lines.js';

/** The inputs of a run, and the model that is to answer them. */
export interface Batch {
  readonly inputs: Inputs;
  readonly model: Answering;
}

/** The keys of the inputs that are done. */
export type Done = ReadonlySet<string>;

export interface Answers {
  write(line: string): Promise<void>;
  close(): void;
}

/** The model that answers. */
export interface Answering {
  readonly name: string;
  /** The versions that may answer requests without a version. */
  readonly versions: readonly string[];
}

export function keyOf(input: CommandInput, { name: model }: Pick<Answering, 'name'>): string {
  const { index, name, contentType, digest } = input;
  const place = contentType === 'application/json' ? index : name;
  return writeKey({ digest, model, place });
}

/** Without a version, it is that of an answer by any of those that count now. */
function writeKey({ digest, model, version, place }: Readonly<Record<string, unknown>>): string {
  return JSON.stringify([digest, model, version, place]);
}

/** Writes a line: the answer of the service or its problem, and which input it is of. */
export function writeLine(input: CommandInput, answer: Readonly<Record<string, unknown>>): string {
  const { index, name, digest } = input;
  const id = name === undefined ? {} : { id: name };
  return `${writeAsWritten({ index, digest, ...answer, ...id })}\n`;
}

/**
 * Reads which inputs are done according to a file of answers.
 * @throws ScorelineError `configuration_invalid` if it is none
 */
export async function readDone(file: string, asked: Batch): Promise<Done> {
  const done = new Set<string>();
  for await (const { key } of readAnswers(file, asked)) if (key !== undefined) done.add(key);
  return done;
}

/**
 * Opens a file for answers. Of an earlier run, it keeps the answers of the same model to inputs that are still there,
 * without problems, so each input has one line in the end. `replaced` counts the other answers, which are removed.
 * @throws ScorelineError `configuration_invalid` if the file cannot be written, or has something else
 */
export async function openFile(
  file: string,
  asked: Batch,
): Promise<Answers & { done: Done; replaced: number }> {
  const created = create(file);
  if (created !== undefined) {
    return { ...answersIn(file, created), done: new Set(), replaced: 0 };
  }
  const { mode } = checkRegular(file);
  // A link stays one.
  const target = realpathSync(file);
  const part = `${target}.${process.pid}.part`;
  // In a container, the run that was killed while it copied answers had the same number.
  rmSync(part, { force: true });
  const descriptor = open(part);
  try {
    fchmodSync(descriptor, mode);
    const kept = await keepAnswers(file, asked, descriptor);
    renameSync(part, target);
    return { ...answersIn(file, descriptor), ...kept };
  } catch (thrown) {
    closeSync(descriptor);
    rmSync(part);
    throw thrown instanceof ScorelineError ? thrown : cannotUse(file, thrown);
  }
}

/** Returns undefined if the file is there. */
function create(file: string): number | undefined {
  try {
    return openSync(file, 'ax');
  } catch {
    return existsSync(file) ? undefined : open(file);
  }
}

/** Copies the answers of earlier runs that count. */
async function keepAnswers(
  file: string,
  asked: Batch,
  descriptor: number,
): Promise<{ done: Done; replaced: number }> {
  const done = new Set<string>();
  let replaced = 0;
  const wanted = new Set<string>();
  for await (const input of asked.inputs.read()) wanted.add(keyOf(input, asked.model));
  for await (const { key, line } of readAnswers(file, asked)) {
    if (key === undefined || done.has(key)) continue;
    if (!wanted.has(key)) {
      replaced++;
      continue;
    }
    done.add(key);
    writeFileSync(descriptor, `${line}\n`);
  }
  return { done, replaced };
}

function answersIn(file: string, descriptor: number): Answers {
  const { dev, ino } = fstatSync(descriptor);
  return {
    write: async (line) => {
      const found = statSync(file, { throwIfNoEntry: false });
      if (found?.dev !== dev || found.ino !== ino) throw lost(file);
      try {
        // Unlike `writeSync`, this writes the whole line or throws, also when the disk has room for a part of it.
        writeFileSync(descriptor, line);
      } catch (thrown) {
        throw cannotUse(file, thrown);
      }
    },
    close: () => closeSync(descriptor),
  };
}

/**
 * Answers on standard output.
 * @param resumed a file with answers of an earlier run, to which the output may be appended
 */
export function openOutput(resumed: string | undefined): Answers {
  const { stdout } = process;
  let start = resumed !== undefined && isCutOff(resumed) && mayBeOutput(resumed) ? '\n' : '';
  // A write that fails gets the error, too.
  stdout.on('error', () => {});
  return {
    write: (line) =>
      new Promise((resolve, reject) => {
        stdout.write(`${start}${line}`, (error) => (error ? reject(error) : resolve()));
        start = '';
      }),
    close: () => {},
  };
}

/** Whether a killed run has left a line without its end. */
function isCutOff(file: string): boolean {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const last = Buffer.alloc(1);
    return size > 0 && readSync(descriptor, last, 0, 1, size - 1) === 1 && last.toString() !== '\n';
  } finally {
    closeSync(descriptor);
  }
}

/** Whether the output is appended to a file, by `>>` or by what reads a pipe. */
function mayBeOutput(file: string): boolean {
  const output = fstatSync(process.stdout.fd);
  const { dev, ino } = statSync(file);
  return !output.isFile() || (output.dev === dev && output.ino === ino);
}

/** How each line begins that `writeLine` writes. */
const lineStart = '{"index":';

interface Answer {
  readonly line: string;
  /** Undefined if the input is to be scored again. */
  readonly key: string | undefined;
}

async function* readAnswers(file: string, { inputs, model }: Batch): AsyncGenerator<Answer> {
  let at = 0;
  try {
    for await (const bytes of readLines(file)) {
      at++;
      const line = bytes.toString('utf8').trimEnd();
      // npm prints lines about the command before its output.
      if (line === '' || line.startsWith('> ')) continue;
      const answer = parse(line);
      if (!answer) {
        // A run that was killed may have left a part of a line.
        const isPart = line.startsWith(lineStart) || lineStart.startsWith(line);
        if (!isPart) throw noAnswer(file, { line, at });
      } else if (answer.problem !== undefined) yield { line, key: undefined };
      else {
        const place = inputs.kind === 'lines' ? answer.index : answer.id;
        const isCurrent = model.versions.includes(String(answer.version));
        const version = isCurrent ? undefined : answer.version;
        yield { line, key: writeKey({ ...answer, version, place }) };
      }
    }
  } catch (thrown) {
    if (thrown instanceof ScorelineError) throw thrown;
    throw cannotUse(file, thrown);
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value?.index === 'number' && typeof value.digest === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function open(file: string): number {
  try {
    return openSync(file, 'a');
  } catch (thrown) {
    throw cannotUse(file, thrown);
  }
}

function checkRegular(file: string): Stats {
  const found = statSync(file);
  if (found.isFile()) return found;
  throw wrong(
    `--out: expected the name of a file; got ${file}, which is something else. Without --out, the answers go to standard output.`,
  );
}

function lost(file: string): ScorelineError {
  return wrong(
    `${file} was replaced, moved or deleted while the command wrote to it, perhaps by another run. Let one run end before the next, and start the command again.`,
  );
}

function noAnswer(file: string, { line, at }: { line: string; at: number }): ScorelineError {
  return wrong(
    `Expected answers of this command in ${file}; line ${at} is ${shown(line)}. Name another file, or delete this one.`,
  );
}

function cannotUse(file: string, thrown: unknown): ScorelineError {
  return wrong(
    `Expected a file at ${file} that can be read and written; got: ${coerceError(thrown).message}`,
  );
}
