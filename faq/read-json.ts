// An FAQ as JSON: an array of {"question", "answer", "paraphrases": […]}.

import { z } from 'zod';
import { coerceError } from '../shared/errors.js';
import { messageOf } from '../shared/zod-issue.js';
import { invalid, type ReadEntry, type Skip } from './entries.js';

const text = z.string().transform((value) => value.trim());
const entriesSchema = z.array(
  z.object({
    question: text,
    answer: text,
    paraphrases: z
      .array(text)
      .default([])
      .transform((texts) => texts.filter((value) => value !== '')),
  }),
);

/** @throws ScorelineError `configuration_invalid` */
export function readJson(file: string, content: string, skip: Skip): ReadEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (thrown) {
    throw invalid(file, [`expected JSON; ${coerceError(thrown).message}`]);
  }
  const parsed = entriesSchema.safeParse(value);
  if (parsed.success) {
    sayUnused(value as object[], skip);
    return parsed.data.map((entry, at) => ({ ...entry, place: placeOf(at) }));
  }
  throw invalid(
    file,
    parsed.error.issues.map(({ path: [at, ...keys], ...issue }) => {
      const place =
        at === undefined
          ? 'expected an array of {"question", "answer", "paraphrases"}'
          : [placeOf(Number(at)), ...keys].join(', ');
      return `${place}: ${messageOf({ ...issue, path: keys } as z.core.$ZodIssue)}`;
    }),
  );
}

/** Says each key once, where it is first. */
function sayUnused(entries: readonly object[], skip: Skip): void {
  const said = new Set(['question', 'answer', 'paraphrases']);
  for (const [at, entry] of entries.entries()) {
    for (const key of Object.keys(entry)) {
      if (said.has(key)) continue;
      said.add(key);
      skip(placeOf(at), `the key ${JSON.stringify(key)}`);
    }
  }
}

function placeOf(at: number): string {
  return `entry ${at + 1}`;
}
