// The labels of a model: what the scores of its network mean, in the order of the scores.
//
// The labels of a classification are a text file with a line for each class: `id label`, or only the
// label, whose id is then its index. The labels of a ranking are a JSON array of questions.

import path from 'node:path';
import { z } from 'zod';
import { coerceError, ScorelineError } from '../errors.js';
import { NotUtf8, readUtf8File } from '../files/text-file.js';
import { describeUnreadable } from '../files/unreadable.js';
import { findLine } from '../files/yaml-lines.js';
import { shown } from '../shown.js';
import { isFloats } from '../tensors/network.js';
import { messageOf } from '../zod-issue.js';
import { scoresExampleOf } from './example.js';
import type { Manifest } from './manifest.js';
import { type Scores, scoresClasses } from './output.js';

/** A class of a model: a known question with its answer, or the name of a thing in an image. */
export interface Label {
  /** The text that names the class: the question, or the label. */
  readonly text: string;
  readonly id: string | number;
  readonly answerId?: number;
  readonly answer?: string;
}

/**
 * Reads the labels of the model in a folder. A model that answers with a number or with tensors has none.
 * @throws ScorelineError `manifest_invalid`, with the file, and the line or the entry
 */
export function readLabels(folder: string, manifest: Manifest): readonly Label[] {
  const { output } = manifest;
  if (!scoresClasses(output)) return [];
  const expected = scoresExampleOf(manifest)?.expected.label;
  return readClasses(folder, manifest, { key: 'output', output, expected });
}

/** Returns the files of labels that a manifest names, and the keys that name them. */
export function labelFilesOf({ output, outputs }: Manifest): { keys: string[]; file: string }[] {
  const places = [
    { keys: ['output', 'labels'], of: output },
    ...Object.entries(outputs).map(([name, of]) => ({ keys: ['outputs', name, 'labels'], of })),
  ];
  return places.flatMap(({ keys, of }) =>
    scoresClasses(of) && of.labels !== undefined ? [{ keys, file: of.labels }] : [],
  );
}

/** Something that scores classes, and its place in the manifest. */
export interface Classes {
  readonly key: string;
  readonly output: Scores & { readonly kind: string; readonly known?: string | undefined };
  readonly expected?: string | undefined;
}

/**
 * Reads the labels of something that scores classes.
 * @throws ScorelineError `manifest_invalid`
 */
export function readClasses(
  folder: string,
  manifest: Manifest,
  classes: Classes,
): readonly Label[] {
  const { key, output } = classes;
  const labels =
    output.labels === undefined
      ? numberClasses(manifest, classes)
      : readFile(path.join(folder, output.labels), manifest, classes);
  const { threshold } = output;
  if (Array.isArray(threshold) && threshold.length !== labels.length) {
    throw new ScorelineError(
      'manifest_invalid',
      `${manifest.name}: ${key}.threshold: expected a number, or ${labels.length}: one for each label, in the same order; got ${threshold.length}`,
    );
  }
  return labels;
}

function readFile(file: string, { name }: Manifest, classes: Classes): readonly Label[] {
  const { key, output, expected } = classes;
  const isRanking = output.kind === 'ranking';
  try {
    const text = readText(file);
    return isRanking ? parseQuestions(text) : parseLines(text, expected);
  } catch (thrown) {
    if (!(thrown instanceof Unfit)) throw thrown;
    const form = isRanking
      ? 'a JSON array of {id, answerId, question, answer}'
      : 'a text file with a line for each class, `id label` or `label`, in the order of the scores';
    throw new ScorelineError(
      'manifest_invalid',
      `${name}: ${key}.labels: expected ${form}; ${file}${thrown.message}`,
      { cause: thrown.cause },
    );
  }
}

/** Numbers the classes of a model without labels. A single score is that of the second of two classes. */
function numberClasses({ name, network }: Manifest, { key, output }: Classes): readonly Label[] {
  const { tensor, known } = output;
  const scores = network?.outputs.find((value) =>
    tensor === undefined ? isFloats(value) && value.name !== known : value.name === tensor,
  );
  const sizes = scores?.shape.slice(1) ?? [-1];
  let count = 1;
  for (const size of sizes) count *= typeof size === 'number' && size > 0 ? size : Number.NaN;
  if (Number.isNaN(count)) {
    throw new ScorelineError(
      'manifest_invalid',
      `${name}: ${key}.labels: expected a file with the labels, or the number of scores in network.outputs; got neither. Without labels, the classes are numbered from 0`,
    );
  }
  return Array.from({ length: Math.max(2, count) }, (_, id) => ({ id, text: String(id) }));
}

/** The labels have another form. The message goes on after the name of their file. */
class Unfit extends Error {}

function readText(file: string): string {
  try {
    return readUtf8File(file);
  } catch (cause) {
    if (cause instanceof NotUtf8) throw new Unfit(`, ${cause.message}`, { cause });
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? ' does not exist' : ` ${describeUnreadable(cause)}`;
    throw new Unfit(reason, { cause });
  }
}

const questionsSchema = z
  .array(
    z
      .object({ id: z.number(), answerId: z.number(), question: z.string(), answer: z.string() })
      .transform(({ question, ...rest }): Label => ({ ...rest, text: question })),
  )
  .min(1);

function parseQuestions(text: string): Label[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw new Unfit(` is not valid JSON: ${coerceError(thrown).message}`, { cause: thrown });
  }
  const parsed = questionsSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (!issue) throw new Error('What cannot be parsed has an issue. This is a bug.');
  const [entry, ...keys] = issue.path;
  // JSON is YAML.
  const line = findLine(text, issue.path);
  const place =
    line === undefined ? '' : `, line ${line}, entry ${Number(entry) + 1}, ${keys.join('.')}`;
  throw new Unfit(`${place}: ${messageOf(issue)}`);
}

/** A line that begins with what looks like an id, such as `n02127052 lynx` or `7 hare`. */
const withLikelyId = /^\s*[A-Za-z]?\d+\s+\S/;

/**
 * Parses lines. If each has several words, the first could be an id or a part of the label: `en
 * English`, `tiger cat`. The label that the example expects decides. Otherwise the first words are
 * ids if each has a digit and no two are equal.
 */
function parseLines(text: string, expected: string | undefined): Label[] {
  if (isJsonList(text)) throw new Unfit(' is JSON');
  const lines = splitLabels(text);
  const bare = lines.map((line, index): Label => ({ id: index, text: trimLabel(line) }));
  const blank = bare.findIndex((label) => label.text === '');
  if (text.trim() === '') throw new Unfit(' is empty');
  if (blank >= 0) throw new Unfit(`, line ${blank + 1}, is blank. Remove it`);

  const pairs = lines.map(splitId);
  const labels = pairs.filter((label) => label !== undefined);
  if (labels.length < lines.length) {
    const likely = lines.filter((line) => withLikelyId.test(line)).length;
    if (likely <= lines.length / 2) return bare;
    const without = pairs.indexOf(undefined);
    throw new Unfit(
      `, line ${without + 1}, has no id, unlike most lines; got ${shown(lines[without], 100)}. Give every line an id, or none`,
    );
  }
  const isAmong = (list: readonly Label[]) => list.some((label) => label.text === expected);
  if (isAmong(labels)) return labels;
  const ids = labels.map(({ id }) => String(id));
  const areLikelyIds = new Set(ids).size === ids.length && ids.every((id) => /\d/.test(id));
  return isAmong(bare) || !areLikelyIds ? bare : labels;
}

/** Whether the labels are those of a ranking, or in the form that other programs write. */
function isJsonList(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

/** Returns the lines of a file of labels, without the blank ones at its end. */
export function splitLabels(text: string): string[] {
  return text.replace(blanksAtEnd, '').split(/\r\n?|\n/);
}

/** Returns a label without the blanks around it. JavaScript takes U+FEFF for one, and neither Unicode nor Python does. */
export function trimLabel(label: string): string {
  return label.replace(/^[^\S\ufeff]+/, '').replace(blanksAtEnd, '');
}

/** Begins only where blanks begin. Otherwise each blank inside of a text would be a start, and all behind it be read again. */
const blanksAtEnd = /(?<![^\S\ufeff])[^\S\ufeff]+$/;

/** Splits a line such as "n02127052 lynx, catamount" at its first blanks. */
function splitId(line: string): Label | undefined {
  const [, id, text] = /^((?:\S|\ufeff)+)[^\S\ufeff]+(.+)$/.exec(trimLabel(line)) ?? [];
  return id === undefined || text === undefined ? undefined : { id, text };
}
