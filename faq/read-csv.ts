// An FAQ as CSV, comma, semicolon or tab between the columns. The first line names them: `question`, `answer` and, if you
// like, `paraphrases`. One cell holds several paraphrases on lines of their own, and further columns named `paraphrase…` one each.

import { parse } from 'csv-parse/sync';
import { coerceError } from '../shared/errors.js';
import { invalid, type ReadEntry } from './entries.js';

const question = /^(question|frage|q)$/i;
const answer = /^(answer|antwort|a)$/i;
const paraphrase = /^paraphrases?(\W?\d+)?$/i;

interface Row {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

/** @throws ScorelineError `configuration_invalid` */
export function readCsv(file: string, text: string): ReadEntry[] {
  const [head, ...rows] = parseRows(file, text);
  const names = head?.record.map((name) => name.trim()) ?? [];
  const places = {
    question: names.findIndex((name) => question.test(name)),
    answer: names.findIndex((name) => answer.test(name)),
  };
  for (const [column, at] of Object.entries(places)) {
    if (at >= 0) continue;
    throw invalid(file, [
      `line 1: expected a column "${column}"; got ${names.map((name) => JSON.stringify(name)).join(', ') || 'none'}. The first line names the columns: question,answer,paraphrases`,
    ]);
  }
  return rows
    .filter(({ record }) => record.some((cell) => cell.trim() !== ''))
    .map(({ record, info }) => ({
      question: (record[places.question] ?? '').trim(),
      answer: (record[places.answer] ?? '').trim(),
      paraphrases: record
        .filter((_, at) => paraphrase.test(names[at] ?? ''))
        .flatMap((cell) => cell.split(/\r?\n/))
        .map((cell) => cell.trim())
        .filter((cell) => cell !== ''),
      place: `line ${info.lines}`,
    }));
}

function parseRows(file: string, text: string): Row[] {
  const [first = ''] = text.split(/\r?\n/, 1);
  const delimiter = [',', ';', '\t'].toSorted((a, b) => countOf(first, b) - countOf(first, a))[0];
  try {
    return parse(text, {
      bom: true,
      delimiter: delimiter as string,
      info: true,
      skip_empty_lines: true,
    }) as unknown as Row[];
  } catch (thrown) {
    throw invalid(file, [
      `expected CSV; ${coerceError(thrown).message}. Put quotes around cells with commas, quotes or line breaks`,
    ]);
  }
}

function countOf(text: string, delimiter: string): number {
  return text.split(delimiter).length;
}
