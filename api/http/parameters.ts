// What a caller may say beside the input: how many classes, and how long to wait.

import type { IncomingMessage } from 'node:http';
import { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/models.js';

/** Parameters by name, from the query string, the JSON body or the fields of a form. */
export type Given = Readonly<Record<string, unknown>>;

/** How many of the best classes are wanted. */
export function readTop(given: Given, model: Model): number {
  if (given.top === undefined) return Math.min(model.manifest.output.top, model.labels.length);
  const top = toNumber(given.top);
  if (!Number.isInteger(top) || top < 1 || top > model.labels.length) {
    throw new ScorelineError(
      'parameter_invalid',
      `Expected "top" to be a whole number from 1 to ${model.labels.length}; got ${show(given.top)}.`,
    );
  }
  return top;
}

/**
 * When the answer is wanted, at the latest: the model's deadline, or an earlier one by the header
 * `Request-Timeout` (seconds) or the parameter `deadlineMs`. It is counted from the arrival of the
 * request, since its client waits while the body is read, too.
 */
export function readDeadlineAt(
  request: IncomingMessage,
  given: Given,
  model: Model,
  arrivedAt: number,
): number {
  const header = request.headers['request-timeout'];
  const asked = [
    header === undefined ? undefined : toMilliseconds('Request-Timeout', header, 1000),
    given.deadlineMs === undefined ? undefined : toMilliseconds('deadlineMs', given.deadlineMs, 1),
  ].filter((ms) => ms !== undefined);
  return arrivedAt + Math.min(model.manifest.deadlineMs, ...asked);
}

function toMilliseconds(name: string, value: unknown, unitMs: number): number {
  const number = toNumber(value);
  if (!(number > 0 && Number.isFinite(number))) {
    const unit = unitMs === 1000 ? 'seconds' : 'milliseconds';
    throw new ScorelineError(
      'deadline_invalid',
      `Expected ${name} to be a number of ${unit} above 0; got ${show(value)}.`,
    );
  }
  return number * unitMs;
}

/** A number, also as the text a header or a query string holds; NaN for anything else. */
function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value.trim())
    ? Number(value)
    : Number.NaN;
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 60);
}
