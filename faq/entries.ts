// The entries of somebody's FAQ, and the checks that every format shares.

import { normaliseText } from '../api/kinds/normalise.js';
import { ScorelineError } from '../shared/errors.js';

export interface Entry {
  readonly question: string;
  readonly answer: string;
  /** The same question in other words. */
  readonly paraphrases: readonly string[];
}

/** An entry as it was read, with the place that errors name, such as `line 7`. */
export interface ReadEntry extends Entry {
  readonly place: string;
}

/** Says what of a file is not used, with its place. */
export type Skip = (place: string, what: string) => void;

export const entriesMax = 5000;
export const textsMax = 20_000;
export const charactersMax = 5000;
/** Half of a pair of surrogates, which UTF-8 has no bytes for. */
const isTorn = /\p{Cs}/u;
const isVisible = /[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * Checks entries that are fit to be an FAQ, and returns them without their places.
 * @throws ScorelineError `configuration_invalid`, with all faults, the first ten in words
 */
export function checkEntries(file: string, read: readonly ReadEntry[]): Entry[] {
  if (read.length < 2) {
    throw invalid(file, [`expected two questions or more; got ${read.length}`]);
  }
  const texts = read.reduce((sum, { paraphrases }) => sum + 1 + paraphrases.length, 0);
  if (read.length > entriesMax || texts > textsMax) {
    throw invalid(file, [
      `expected at most ${entriesMax} questions and ${textsMax} questions and paraphrases together; got ${read.length} and ${texts}. Split the file into several FAQs`,
    ]);
  }
  const faults = [...read.flatMap(faultsOf), ...repeated(read)];
  if (faults.length > 0) throw invalid(file, faults);
  return read.map(({ question, answer, paraphrases }) => ({ question, answer, paraphrases }));
}

export function invalid(file: string, faults: readonly string[]): ScorelineError {
  const shown = faults.slice(0, 10).map((fault) => `${file}: ${fault}.`);
  const rest = faults.length > 10 ? `\n… and ${faults.length - 10} more.` : '';
  return new ScorelineError('configuration_invalid', `${shown.join('\n')}${rest}`);
}

function faultsOf({ question, answer, paraphrases, place }: ReadEntry): string[] {
  const faults: string[] = [];
  if (question === '') faults.push(`${place}: expected a question; got an empty one`);
  if (answer === '') {
    faults.push(`${place}: expected an answer to ${quote(question)}; got an empty one`);
  }
  const texts = [question, answer, ...paraphrases].filter((text) => text !== '');
  return [...faults, ...texts.flatMap((text) => faultsOfText(text, place))];
}

function faultsOfText(text: string, place: string): string[] {
  if (isTorn.test(text)) {
    return [`${place}: expected Unicode; got half of a surrogate pair, in ${quote(text)}`];
  }
  if (!isVisible.test(text)) {
    return [`${place}: expected letters, digits or symbols; got none, in ${quote(text)}`];
  }
  const { length } = normaliseText(text);
  if (length <= charactersMax) return [];
  return [
    `${place}: expected at most ${charactersMax} characters; got ${length}, in ${quote(text)}`,
  ];
}

/** A question that stands twice would share its score with itself, and neither would be found. */
function repeated(read: readonly ReadEntry[]): string[] {
  const first = new Map<string, ReadEntry>();
  const faults: string[] = [];
  for (const entry of read) {
    for (const text of [entry.question, ...entry.paraphrases]) {
      // The model gets texts normalised, and knows no capitals.
      const key = normaliseText(text).toLowerCase().replaceAll(/\s+/g, ' ');
      const known = first.get(key);
      if (known === undefined) first.set(key, entry);
      else if (key !== '' && (known !== entry || text === entry.question)) {
        faults.push(
          `${entry.place}: expected each question and paraphrase once; got ${quote(text)} again, which ${known.place} has. Make it one question, with one answer`,
        );
      }
    }
  }
  return faults;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
