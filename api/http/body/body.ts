// Reads the body of a request according to its content type.

import { parse as parseContentType } from 'content-type';
import type { Request, Response } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import { isJsonObject } from '../../../shared/json-object.js';
import { shown } from '../../../shared/shown.js';
import type { Call } from '../../call/call.js';
import { withInputsAsWritten } from '../../json-text.js';
import { charsetIn, decodeText } from '../../kinds/charset.js';
import { parseGiven } from '../../parse-json.js';
import { type Given, readDeadlineMs } from '../parameters/parameters.js';
import { parsePriority } from '../parameters/priority.js';
import { makeReadBytes, type ReadBytes } from './bytes.js';
import { type Form, parseForm } from './form.js';

export type Body =
  | { readonly type: 'json'; readonly value: unknown }
  | { readonly type: 'bytes'; readonly bytes: Buffer; readonly charset: string | undefined }
  | (Form & { readonly type: 'form' });

/**
 * Reads the body of a call's request.
 * @param peek gets the first chunk of a JSON body; if it throws, reading ends with its error
 * @throws ScorelineError `unsupported_media_type`, `input_missing`, `input_invalid`, `invalid_json`,
 * `request_invalid`, and the errors of `ReadBytes` (bytes.ts)
 */
export type ReadBody<B extends Body = Body> = (
  call: Call,
  request: Request,
  response: Response,
  peek?: (first: Buffer) => void,
) => Promise<B>;

type JsonBody = Extract<Body, { type: 'json' }>;

/**
 * @param bytesMax the most bytes of a body, decompressed
 * @param inputsMax the most inputs of a form
 */
export function makeBodyReaders(
  bytesMax: number,
  inputsMax: number,
): {
  readJson: ReadBody<JsonBody>;
  readAny: ReadBody;
  readBytes: ReadBytes;
} {
  const readBytes = makeReadBytes(bytesMax);

  const readJson: ReadBody<JsonBody> = async (call, request, response, peek) => {
    if (!hasType(request, 'application/json')) throw unsupported(request, 'application/json');
    if (!hasBody(request)) throw inputMissing();
    const bytes = await readBytes(call, request, response, peek);
    if (bytes.byteLength === 0) throw inputMissing();
    return { type: 'json', value: parseBody(call, bytes, charsetOf(request)) };
  };

  const readAny: ReadBody = async (call, request, response) => {
    if (hasType(request, 'application/json')) return readJson(call, request, response);
    if (request.is('multipart/form-data')) {
      const bytes = await readBytes(call, request, response);
      return { type: 'form', ...(await parseForm(bytes, boundaryOf(request), inputsMax)) };
    }
    const types = takes(call, 'file')
      ? ['*/*']
      : ['image/*', 'text/plain', 'application/octet-stream'];
    if (request.is(types)) {
      const bytes = await readBytes(call, request, response);
      return { type: 'bytes', bytes, charset: charsetOf(request) };
    }
    const last = takes(call, 'file') ? ' or that of the file' : ', image/* or text/plain';
    throw unsupported(
      request,
      `application/json, application/x-ndjson, multipart/form-data${last}`,
    );
  };

  return { readJson, readAny, readBytes };
}

/**
 * Decodes JSON in the charset that its sender declares.
 * @throws ScorelineError `unsupported_media_type`, `input_invalid`
 */
export function decodeJson(bytes: Buffer, charset: string | undefined): string {
  if (charset === undefined || /^utf-?(8|16)/i.test(charset)) return decodeText(bytes, charset);
  throw new ScorelineError(
    'unsupported_media_type',
    `Expected JSON in UTF-8; got the charset ${shown(charset)}.`,
  );
}

function parseBody(call: Call, bytes: Buffer, charset: string | undefined): unknown {
  const text = decodeJson(bytes, charset);
  const value = parseGiven(
    text,
    'Expected a JSON body; it could not be parsed. Check the quotes and commas, write null instead of NaN, and send the whole body.',
  );
  return takes(call, 'json') ? withInputsAsWritten(text, value) : value;
}

/** Whether the models of the call take inputs of a kind, and no others. */
function takes({ models }: Pick<Call, 'models'>, kind: 'json' | 'file'): boolean {
  return models.every(({ manifest }) => manifest.input.kind === kind);
}

/** Compares the declared type. Unlike `request.is`, this works for a request without a body. */
function hasType(request: Request, type: string): boolean {
  const given = request.headers['content-type'];
  return given === type || given?.split(';')[0]?.trim().toLowerCase() === type;
}

/** Returns the charset that the Content-Type declares. */
export function charsetOf({ headers }: Request): string | undefined {
  return charsetIn(headers['content-type']);
}

function boundaryOf({ headers }: Request): string | undefined {
  return parseContentType(headers['content-type'] ?? '').parameters.boundary;
}

function hasBody({ headers }: Request): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/** @throws ScorelineError `input_missing` when the value of a JSON body is not an object */
export function asObject(value: unknown): Record<string, unknown> {
  if (isJsonObject(value)) return value;
  throw inputMissing(shown(value));
}

/**
 * Applies the deadline and the priority that a body names.
 * @throws ScorelineError `deadline_invalid`, `parameter_invalid`, `overloaded`
 */
export function applyParameters(call: Call, given: Given): void {
  const deadlineMs = readDeadlineMs(given);
  if (deadlineMs !== undefined) call.limitDeadline(call.arrivedAt + deadlineMs);
  const priority = parsePriority(given.priority, 'priority');
  if (priority) call.prioritise(priority);
}

/** The fields that are read, in each form of a request. */
const fieldsIn = {
  json: new Set(['input', 'inputs', 'top', 'deadlineMs', 'priority']),
  form: new Set(['input', 'top', 'deadlineMs', 'priority']),
  line: new Set(['input', 'id', 'top', 'deadlineMs']),
} as const;

/**
 * Refuses a field that nothing would read: a misspelt `top`, or what the caller thinks the model reads.
 * @throws ScorelineError `parameter_invalid`
 */
export function refuseUnknown(given: Given, form: keyof typeof fieldsIn): void {
  const known: ReadonlySet<string> = fieldsIn[form];
  for (const name in given) {
    if (known.has(name)) continue;
    throw new ScorelineError(
      'parameter_invalid',
      `Expected no fields but ${[...known].join(', ')}; got ${shown(name)}. What the model reads goes inside the input.`,
    );
  }
}

/** Makes the error of an object without an input, which is told by its keys. */
export function lacksInput(given: Given): ScorelineError {
  const keys = quoteKeys(given);
  const remedy =
    given.instances === undefined
      ? ''
      : ' Send several inputs as {"inputs": […]}, or instances to POST /v1/models/NAME:predict.';
  return inputMissing(keys === '' ? 'an empty one' : `one with ${keys}`, remedy);
}

/** Returns the first keys of an object, as messages show them. */
export function quoteKeys(given: Given): string {
  return Object.keys(given)
    .slice(0, 5)
    .map((key) => shown(key))
    .join(', ');
}

/** @param got what came in place of an object with an input */
function inputMissing(got = 'none', remedy = ''): ScorelineError {
  return new ScorelineError(
    'input_missing',
    `Expected a JSON object with the key "input", as in {"input": "…"}; got ${got}.${remedy}`,
  );
}

function unsupported(request: Request, expected: string): ScorelineError {
  const got = request.get('content-type')?.slice(0, 100) ?? 'none';
  return new ScorelineError(
    'unsupported_media_type',
    `Expected the content type ${expected}; got ${got}. Set the Content-Type header.`,
  );
}
