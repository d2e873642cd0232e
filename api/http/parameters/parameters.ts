// The parameters of a scoring request: how many classes to answer with, and how long to wait.

import type { IncomingMessage } from 'node:http';
import type { Request } from 'express';
import { z } from 'zod';
import { ScorelineError } from '../../../shared/errors.js';
import { scoresOf } from '../../../shared/manifest/manifest.js';
import { jsonName, scoresClasses, topOf } from '../../../shared/manifest/output.js';
import type { Model } from '../../../shared/registry/models.js';
import { shown } from '../../../shared/shown.js';
import type { OutputWish } from '../../../shared/wire/job.js';

/** Parameters by name, from the query string, the JSON body or the fields of a form. */
export type Given = Readonly<Record<string, unknown>>;

const noParameters: Given = {};

/** How `readTop` reads a number of classes. The text of a number is what queries and forms hold. */
export function topSchema({ labels }: Pick<Model, 'labels'>): z.ZodType {
  return z.int().min(1).max(labels.length).describe('How many of the best classes to answer with.');
}

/** How `readDeadlineMs` reads a deadline. */
export const deadlineMsSchema = z
  .number()
  .positive()
  .describe(
    'How many milliseconds the caller waits, counted from the arrival of the request. More than the deadline of the model changes nothing.',
  );

/** How the header `Request-Timeout` is read. */
export const requestTimeoutSchema = z.number().positive();

/** The parameters of the query string; one that comes several times is an array. */
export function queryOf(request: Request): Given {
  return request.url.includes('?') ? request.query : noParameters;
}

/**
 * Adds the parameters of the query string to those of the body, which count if both have one. A copy of all its fields
 * would take a second for half a million.
 */
export function withQuery({ top, deadlineMs }: Given, query: Given): Given {
  return {
    top: top === undefined ? query.top : top,
    deadlineMs: deadlineMs === undefined ? query.deadlineMs : deadlineMs,
  };
}

/**
 * Reads what the caller wants of the answer: how many classes, if the model has some.
 * @throws ScorelineError `parameter_invalid`
 */
export function readWish(given: Given, model: Model): OutputWish {
  const { output } = model.manifest;
  if (scoresClasses(output)) return { top: readTop(given, model) };
  if (given.top === undefined) return wishWithoutClasses(model);
  const answer = namedAnswers[output.kind];
  throw new ScorelineError(
    'parameter_invalid',
    `Expected no "top", since ${model.name} answers with ${answer}; got ${shown(given.top)}.`,
  );
}

/** What a model without classes answers with. */
const namedAnswers = {
  regression: 'one number',
  embedding: 'an embedding',
  json: 'JSON',
  tensors: 'tensors',
} as const;

/** Returns the wish for the answer of a model that has no classes to choose the best of. */
export function wishWithoutClasses({ manifest: { output }, heads }: Model): OutputWish {
  // Further answers are for callers who want an answer, whatever their number of classes.
  if (heads.length > 0) return { top: 1 };
  if (output.kind === 'regression' && output.tensor !== undefined) {
    return { outputs: [output.tensor] };
  }
  if (output.kind === 'json') return { outputs: [output.tensor ?? jsonName] };
  return {};
}

/**
 * Reads how many of the best classes to answer with. Without `top`, the manifest decides.
 * @throws ScorelineError `parameter_invalid`
 */
export function readTop(given: Given, model: Model): number {
  if (given.top === undefined) return topOf(scoresOf(model.manifest), model.labels.length);
  const top = toNumber(given.top);
  if (!Number.isInteger(top) || top < 1 || top > model.labels.length) {
    throw new ScorelineError(
      'parameter_invalid',
      `Expected "top" to be a whole number from 1 to ${model.labels.length}; got ${shown(given.top)}.`,
    );
  }
  return top;
}

/**
 * Reads the deadline: the earliest of the model's own, the header `Request-Timeout` (seconds) and the
 * query parameter `deadlineMs`. It counts from the arrival of the request, because the client waits
 * while its body is read, too.
 * @param deadlineMs the model's deadline
 * @param arrivedAt milliseconds since the epoch
 * @returns milliseconds since the epoch
 * @throws ScorelineError `deadline_invalid`
 */
export function readDeadlineAt(
  request: IncomingMessage,
  query: Given,
  { deadlineMs, arrivedAt }: { deadlineMs: number; arrivedAt: number },
): number {
  const header = request.headers['request-timeout'];
  const headerMs =
    header === undefined ? deadlineMs : toMilliseconds('Request-Timeout', header, 1000);
  return arrivedAt + Math.min(deadlineMs, headerMs, readDeadlineMs(query) ?? deadlineMs);
}

/**
 * Reads the parameter `deadlineMs` of a query or a body; undefined if there is none.
 * @throws ScorelineError `deadline_invalid`
 */
export function readDeadlineMs(given: Given): number | undefined {
  return given.deadlineMs === undefined
    ? undefined
    : toMilliseconds('deadlineMs', given.deadlineMs, 1);
}

function toMilliseconds(name: string, value: unknown, unitMs: number): number {
  const number = toNumber(value, anyNumber);
  if (!(number > 0 && Number.isFinite(number))) {
    const unit = unitMs === 1000 ? 'seconds' : 'milliseconds';
    throw new ScorelineError(
      'deadline_invalid',
      `Expected ${name} to be a number of ${unit} above 0; got ${shown(value)}.`,
    );
  }
  return number * unitMs;
}

const plainNumber = /^\d+(\.\d+)?$/;
/** Programs write very small and very large numbers with an exponent. */
const anyNumber = /^\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** Accepts a number, or its text from a header or a query string. Returns NaN for anything else. */
function toNumber(value: unknown, form = plainNumber): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && form.test(value.trim()) ? Number(value) : Number.NaN;
}
