// The labels of a model that is added: of a file that the user names, of the network's file, or of config.json beside it.

import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline/promises';
import { NotUtf8, readUtf8File } from '../../../shared/files/text-file.js';
import { describeUnreadable } from '../../../shared/files/unreadable.js';
import { splitLabels, trimLabel } from '../../../shared/manifest/labels.js';
import { readOnnxLabels } from '../../../worker/files/onnx-labels.js';
import { wrongFile } from '../../faults.js';
import type { Companions } from './companions.js';

export interface FoundLabels {
  readonly names: readonly string[];
  /** What they were found in; undefined if they are made up. */
  readonly source: string | undefined;
  /** Whether each line of a file may begin with an id. Names that a program wrote have none. */
  readonly mayHaveIds: boolean;
}

interface Places {
  /** The file that the user named. */
  readonly given: string | undefined;
  /** The file that the user wants to add, and the ONNX file, which may have been made of it. */
  readonly file: string;
  readonly onnx: string;
  readonly companions: Companions;
}

/**
 * Finds the labels of a number of classes. Asks for them at a terminal if nothing has them.
 * @throws ScorelineError `model_file_wrong` if there are more or fewer
 */
export async function findLabels(count: number, places: Places): Promise<FoundLabels> {
  const found = lookFor(places) ?? findBeside(places, count) ?? (await askFor(count));
  if (!found) {
    const names = Array.from({ length: count }, (_, at) => `class ${at}`);
    return { names, source: undefined, mayHaveIds: false };
  }
  if (found.names.length === count) return found;
  throw wrongFile(
    `expected ${count} labels, one for each score of the network; got ${found.names.length} from ${found.source}. Give a file with a line for each: --labels FILE`,
  );
}

function lookFor({ given, file, onnx, companions }: Places): FoundLabels | undefined {
  if (given !== undefined) return { names: readLines(given), source: given, mayHaveIds: true };
  const inside = readOnnxLabels(onnx);
  if (inside) return { names: inside, source: `the metadata of ${file}`, mayHaveIds: false };
  const { labels } = companions;
  return labels && { names: labels.names, source: labels.file, mayHaveIds: false };
}

/** Azure's Custom Vision writes such a file beside a network. That of another one has more labels, or fewer. */
function findBeside({ file }: Places, count: number): FoundLabels | undefined {
  const beside = path.join(path.dirname(file), 'labels.txt');
  const names = existsSync(beside) ? readLines(beside) : [];
  return names.length === count ? { names, source: beside, mayHaveIds: true } : undefined;
}

async function askFor(count: number): Promise<FoundLabels | undefined> {
  const file = await ask(`File with the ${count} labels, a line each (Enter: none): `);
  return file === undefined
    ? undefined
    : { names: readLines(file), source: file, mayHaveIds: true };
}

async function ask(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = (await terminal.question(question)).trim();
  terminal.close();
  return answer === '' ? undefined : answer;
}

function readLines(file: string): string[] {
  try {
    return splitLabels(readUtf8File(file));
  } catch (thrown) {
    if (thrown instanceof NotUtf8) throw wrongFile(`--labels: ${file}: ${thrown.message}`);
    const fault = describeUnreadable(thrown);
    throw wrongFile(`--labels: expected a text file; got ${file}, which ${fault}`);
  }
}

/**
 * Each line gets an id, so that no first word of a label is taken for one.
 * @throws ScorelineError `model_file_wrong` if a name does not fit into a line
 */
export function writeLabels({ names, source, mayHaveIds }: FoundLabels): string {
  if (mayHaveIds && names.every((name) => /^\S+ \S/.test(name) && /^\S*?\d/.test(name))) {
    return names.map((name) => `${name}\n`).join('');
  }
  const unfit = names.find((name) => trimLabel(name) === '' || /[\n\r\u2028\u2029]/.test(name));
  if (unfit !== undefined) {
    throw wrongFile(
      `expected names of classes that are no blanks and have no line break; got ${JSON.stringify(unfit)} from ${source}. Give a file with a line for each: --labels FILE`,
    );
  }
  const trimmed = names.map(trimLabel);
  const lasts = new Map(trimmed.map((name, at) => [name, names[at]]));
  const twin = names.find((name, at) => lasts.get(trimmed[at] as string) !== name);
  if (twin !== undefined) {
    throw wrongFile(
      `expected names of classes that differ by more than the blanks around them, which are lost; got several of ${JSON.stringify(twin)} from ${source}. Give a file with a line for each: --labels FILE`,
    );
  }
  return names.map((name, at) => `${at} ${name}\n`).join('');
}

/** Returns the first of the names that lose the blanks around them in a file of labels. */
export function trimmedName({ names }: FoundLabels): string | undefined {
  return names.find((name) => name !== trimLabel(name));
}
