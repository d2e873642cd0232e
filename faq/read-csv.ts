// An FAQ as CSV, comma, semicolon or tab between the columns. The first line names them: `question`, `answer` and, if you
// like, `paraphrases`. One cell holds several paraphrases on lines of their own, and further columns named `paraphrase…` one each.

import { parse } from 'csv-parse/sync';
import { coerceError } from '../shared/errors.js';
import { invalid, type ReadEntry, type Skip } from './entries.js';

const question = /^(questions?|fragen?|q)$/i;
const answer = /^(answers?|antwort(en)?|a)$/i;
const paraphrase = /^paraphrases?(?![a-z])/i;
/** Excel writes and reads such a line above the names. */
const delimiterLine = /^(\ufeff?)sep=.(?=[\r\n])/i;
const delimiters = [',', ';', '\t'];

interface Row {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

/** @throws ScorelineError `configuration_invalid` */
export function readCsv(file: string, text: string, skip: Skip): ReadEntry[] {
  const [head, ...rows] = parseRows(file, text.replace(delimiterLine, '$1'));
  const names = head?.record.map((name) => name.trim()) ?? [];
  const places = {
    question: names.findIndex((name) => question.test(name)),
    answer: names.findIndex((name) => answer.test(name)),
  };
  for (const [column, at] of Object.entries(places)) {
    if (at >= 0) continue;
    throw invalid(file, [
      `line ${head?.info.lines ?? 1}: expected a column "${column}"; got ${names.map((name) => JSON.stringify(name)).join(', ') || 'none'}. The first line names the columns: question,answer,paraphrases`,
    ]);
  }
  sayUnused(names, rows, (at) => at !== places.question && at !== places.answer, skip);
  return rows
    .filter(({ record }) => record.some((cell) => cell.trim() !== ''))
    .map(({ record, info }) => ({
      question: (record[places.question] ?? '').trim(),
      answer: (record[places.answer] ?? '').trim(),
      paraphrases: record
        .filter((_, at) => paraphrase.test(names[at] ?? ''))
        .flatMap((cell) => cell.split(/\r\n?|\n/))
        .map((cell) => cell.trim())
        .filter((cell) => cell !== ''),
      place: `line ${info.lines}`,
    }));
}

function sayUnused(
  names: readonly string[],
  rows: readonly Row[],
  isFree: (at: number) => boolean,
  skip: Skip,
): void {
  for (const [at, name] of names.entries()) {
    const isUsed = !isFree(at) || paraphrase.test(name);
    if (isUsed || !rows.some(({ record }) => record[at]?.trim())) continue;
    const isAgain = question.test(name) || answer.test(name);
    skip(
      'line 1',
      `column ${at + 1}, ${JSON.stringify(name)}${isAgain ? ', since another before it is that already' : ''}`,
    );
  }
}

function parseRows(file: string, text: string): Row[] {
  try {
    return parse(text, { ...options, delimiter: chooseDelimiter(text) }) as unknown as Row[];
  } catch (thrown) {
    throw invalid(file, [
      `expected CSV; ${coerceError(thrown).message}. Put quotes around cells with commas, quotes or line breaks`,
    ]);
  }
}

/** A row may end before its last columns, whose cells are then empty. */
const options = {
  bom: true,
  info: true,
  skip_empty_lines: true,
  relax_column_count_less: true,
};

/** The delimiter by which the first line has both columns, or else most columns. */
function chooseDelimiter(text: string): string {
  const ranks = new Map(
    delimiters.map((delimiter) => {
      const names = namesBy(delimiter, text);
      const isRight = [question, answer].every((column) => names.some((name) => column.test(name)));
      return [delimiter, isRight ? Number.POSITIVE_INFINITY : names.length];
    }),
  );
  const rankOf = (delimiter: string) => ranks.get(delimiter) ?? 0;
  return delimiters.reduce((best, each) => (rankOf(each) > rankOf(best) ? each : best));
}

function namesBy(delimiter: string, text: string): string[] {
  try {
    const [head] = parse(text, { ...options, delimiter, to: 1 }) as unknown as Row[];
    return head?.record.map((name) => name.trim()) ?? [];
  } catch {
    return [];
  }
}
