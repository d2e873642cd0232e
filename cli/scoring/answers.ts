// The answers of `npm run score`, a line for each input, and what earlier runs have left of them.
//
// An answer has the digest of its input. An input is done if a line without a problem has its place or name, and
// its digest.

import { closeSync, createReadStream, existsSync, openSync, renameSync, writeSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import type { CommandInput, Inputs } from './inputs.js';

/** The keys of the inputs that are done. */
export type Done = ReadonlySet<string>;

export interface Answers {
  write(line: string): Promise<void>;
  close(): void;
}

export function keyOf({ index, name, contentType, digest }: CommandInput): string {
  const place = contentType === 'application/json' ? index : name;
  return `${digest} ${place}`;
}

/** Writes a line: the answer of the service or its problem, and which input it is of. */
export function writeLine(input: CommandInput, answer: Readonly<Record<string, unknown>>): string {
  const { index, name, digest } = input;
  const id = name === undefined ? {} : { id: name };
  return `${JSON.stringify({ index, digest, ...answer, ...id })}\n`;
}

/**
 * Reads which inputs are done according to a file of answers.
 * @throws ScorelineError `configuration_invalid` if it is none
 */
export async function readDone(file: string, inputs: Inputs): Promise<Done> {
  const done = new Set<string>();
  for await (const { key } of readAnswers(file, inputs)) if (key !== undefined) done.add(key);
  return done;
}

/**
 * Opens a file for answers. Of an earlier run, it keeps the answers to inputs that are still there, without
 * problems, so each input has one line in the end.
 */
export async function openFile(file: string, inputs: Inputs): Promise<Answers & { done: Done }> {
  const done = new Set<string>();
  if (existsSync(file)) {
    await readDone(file, inputs);
    const wanted = new Set<string>();
    for await (const input of inputs.read()) wanted.add(keyOf(input));
    const part = `${file}.part`;
    const kept = openSync(part, 'w');
    for await (const { key, line } of readAnswers(file, inputs)) {
      if (key === undefined || !wanted.has(key) || done.has(key)) continue;
      done.add(key);
      writeSync(kept, `${line}\n`);
    }
    closeSync(kept);
    renameSync(part, file);
  }
  const descriptor = open(file);
  return {
    done,
    write: async (line) => void writeSync(descriptor, line),
    close: () => closeSync(descriptor),
  };
}

/** Answers on standard output. */
export function openOutput(): Answers {
  const { stdout } = process;
  // Whoever writes is told.
  stdout.on('error', () => {});
  return {
    write: (line) =>
      new Promise((resolve, reject) => {
        stdout.write(line, (error) => (error ? reject(error) : resolve()));
      }),
    close: () => {},
  };
}

/** How each line begins that `writeLine` writes. */
const lineStart = '{"index":';

interface Answer {
  readonly line: string;
  /** Undefined if the input is to be scored again. */
  readonly key: string | undefined;
}

async function* readAnswers(file: string, { kind }: Inputs): AsyncGenerator<Answer> {
  let at = 0;
  const input = createReadStream(file, 'utf8').on('error', () => {});
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      at++;
      // What npm prints about a command stands before its output.
      if (line === '' || line.startsWith('> ')) continue;
      const answer = parse(line);
      if (!answer) {
        // A run that was killed may have left a part of a line.
        if (!line.startsWith(lineStart)) throw noAnswer(file, { line, at });
      } else if (answer.problem !== undefined) yield { line, key: undefined };
      else yield { line, key: `${answer.digest} ${kind === 'lines' ? answer.index : answer.id}` };
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

function noAnswer(file: string, { line, at }: { line: string; at: number }): ScorelineError {
  return new ScorelineError(
    'configuration_invalid',
    `Expected answers of this command in ${file}; line ${at} is ${JSON.stringify(line.slice(0, 60))}. Name another file, or delete this one.`,
  );
}

function cannotUse(file: string, thrown: unknown): ScorelineError {
  return new ScorelineError(
    'configuration_invalid',
    `Expected a file at ${file} that can be read and written; got: ${coerceError(thrown).message}`,
  );
}
