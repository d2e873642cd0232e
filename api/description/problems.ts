// The errors of the description, from the table of all errors. An operation names the codes that it may
// answer with, and each status becomes a response.

import { z } from 'zod';
import { type ErrorCode, errorTable } from '../../shared/errors.js';
import type { Ref, Response } from './openapi.js';
import type { Parts } from './parts.js';

/** `problem` is that of RFC 9457, `inference` that of the Open Inference Protocol. */
export type ErrorForm = 'problem' | 'inference';

const code = z.string().describe('What is wrong. It does not change, so programs should test it.');
const status = z.int().describe('The status of the answer.');

const problemSchema = z
  .object({
    type: z.string().describe('`urn:scoreline:error:` and the code.'),
    title: z.string().describe('What the code means.'),
    status,
    code,
    detail: z.string().describe('What was expected, what came, and what to do. For people.'),
  })
  .describe('An error, as RFC 9457 has it.');

export const inferenceErrorSchema = z
  .object({
    error: z.string().describe('What was expected, what came, and what to do. For people.'),
    code,
    status,
  })
  .describe('An error, as clients of the Open Inference Protocol expect it.');

const forms = {
  problem: { name: 'Problem', schema: problemSchema, type: 'application/problem+json' },
  inference: { name: 'InferenceError', schema: inferenceErrorSchema, type: 'application/json' },
} as const;

/**
 * Returns the responses of errors by status.
 * @param family names the responses: operations with the same codes share them
 */
export type ProblemsOf = (
  family: string,
  form: ErrorForm,
  codes: readonly ErrorCode[],
) => Readonly<Record<string, Ref>>;

/**
 * @param everywhere the codes with which any operation may answer
 * @param headersOf the headers of an error with this status
 */
export function makeProblemsOf(
  parts: Parts,
  everywhere: readonly ErrorCode[],
  headersOf: (status: number) => Readonly<Record<string, Ref>>,
): ProblemsOf {
  const describe = (form: ErrorForm, status: number, codes: readonly ErrorCode[]): Response => {
    const { name, schema, type } = forms[form];
    const rows = codes.map((each) => `- \`${each}\`: ${errorTable[each].title}.`);
    // openapi-python-client joins a number with an enumeration, and with no constant.
    const own = { properties: { code: { enum: codes }, status: { enum: [status] } } };
    return {
      description: rows.join('\n'),
      headers: headersOf(status),
      content: { [type]: { schema: { allOf: [parts.schema(name, schema), own] } } },
    };
  };
  return (family, form, codes) => {
    const all = [...new Set([...everywhere, ...codes])];
    const statuses = [...new Set(all.map((each) => errorTable[each].status))].toSorted();
    return Object.fromEntries(
      statuses.map((each) => {
        const own = all.filter((one) => errorTable[one].status === each);
        return [String(each), parts.response(`${family}${each}`, () => describe(form, each, own))];
      }),
    );
  };
}
