// Reads the body of a request according to its content type.

import type { Readable } from 'node:stream';
import { Busboy, type BusboyHeaders } from '@fastify/busboy';
import type { Request, Response } from 'express';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { shown } from '../../shared/shown.js';
import type { Call } from '../call.js';
import { decodeText } from '../kinds/charset.js';
import { parseJson } from '../parse-json.js';
import { makeReadBytes, type ReadBytes } from './body-bytes.js';

export type Body =
  | { readonly type: 'json'; readonly value: unknown }
  | { readonly type: 'bytes'; readonly bytes: Buffer; readonly charset: string | undefined }
  | {
      readonly type: 'form';
      readonly files: readonly { name: string; bytes: Buffer }[];
      /** A field that occurs several times has all its values, in order. */
      readonly fields: Readonly<Record<string, string | readonly string[]>>;
      /** Files and texts of the field `input`, in the order of the form. */
      readonly inputs: readonly (string | { name: string; bytes: Buffer })[];
    };

/**
 * Reads the body of a call's request.
 * @param peek gets the first chunk of a JSON body; if it throws, reading ends with its error
 * @throws ScorelineError `unsupported_media_type`, `input_missing`, `input_invalid`, `invalid_json`,
 * `request_invalid`, and the errors of `ReadBytes` (body-bytes.ts)
 */
export type ReadBody<B extends Body = Body> = (
  call: Call,
  request: Request,
  response: Response,
  peek?: (first: Buffer) => void,
) => Promise<B>;

type JsonBody = Extract<Body, { type: 'json' }>;

/** The field of a form that has an input. */
const inputField = 'input';
/** The most fields of a form besides its inputs. */
const fieldsMax = 20;

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
    return { type: 'json', value: parseBody(bytes, charsetOf(request)) };
  };

  const readAny: ReadBody = async (call, request, response) => {
    if (hasType(request, 'application/json')) return readJson(call, request, response);
    if (request.is('multipart/form-data')) {
      return parseForm(request, await readBytes(call, request, response), inputsMax);
    }
    if (request.is(['image/*', 'text/plain', 'application/octet-stream'])) {
      const bytes = await readBytes(call, request, response);
      return { type: 'bytes', bytes, charset: charsetOf(request) };
    }
    throw unsupported(
      request,
      'application/json, application/x-ndjson, multipart/form-data, image/* or text/plain',
    );
  };

  return { readJson, readAny, readBytes };
}

function parseBody(bytes: Buffer, charset = 'utf-8'): unknown {
  if (!/^utf-?(8|16)/i.test(charset)) {
    throw new ScorelineError(
      'unsupported_media_type',
      `Expected JSON in UTF-8; got the charset ${JSON.stringify(charset.slice(0, 60))}.`,
    );
  }
  const text = decodeText(bytes, charset);
  try {
    return parseJson(text);
  } catch (cause) {
    if (cause instanceof ScorelineError) throw cause;
    throw new ScorelineError(
      'invalid_json',
      'Expected a JSON body; it could not be parsed. Check the quotes and commas, and send the whole body.',
      { cause },
    );
  }
}

/** Reads a form. Parts with a file name are files; the others are text fields in UTF-8. */
async function parseForm(
  request: Request,
  body: Buffer,
  inputsMax: number,
): Promise<Extract<Body, { type: 'form' }>> {
  const files: { name: string; bytes: Buffer }[] = [];
  const texts = new Map<string, string[]>();
  const inputs: (string | { name: string; bytes: Buffer })[] = [];
  for (const { name, fileName, bytes } of await splitForm(request, body, inputsMax + fieldsMax)) {
    if (fileName !== undefined) {
      const file = { name: fileName, bytes };
      files.push(file);
      inputs.push(file);
      continue;
    }
    const same = texts.get(name) ?? [];
    const text = decodeText(bytes);
    same.push(text);
    texts.set(name, same);
    if (name === inputField) inputs.push(text);
  }
  const fields = Object.fromEntries(
    [...texts].map(([name, [first = '', ...more]]) => [
      name,
      more.length === 0 ? first : [first, ...more],
    ]),
  );
  return { type: 'form', files, fields, inputs };
}

/** How the bytes of a part may be said to be sent (RFC 2045). None of these changes them. */
const plainCodings = new Set(['7bit', '8bit', 'binary']);

interface Part {
  readonly name: string;
  readonly fileName: string | undefined;
  readonly bytes: Buffer;
}

function splitForm(request: Request, body: Buffer, partsMax: number): Promise<Part[]> {
  return new Promise((resolve, reject) => {
    const parts: Promise<Part>[] = [];
    /** Fields besides inputs. */
    let fields = 0;
    const parser = new Busboy({
      headers: request.headers as BusboyHeaders,
      // Take every part as bytes, because the library would replace invalid UTF-8 in fields.
      isPartAFile: () => true,
      limits: { parts: partsMax + 1 },
    });
    parser.on('file', (name, stream, fileName: string | undefined, coding: string) => {
      if (!plainCodings.has(coding.toLowerCase())) reject(encodedPart(name, coding));
      if (fileName === undefined && name !== inputField) fields++;
      if (fields > fieldsMax) reject(tooManyFields());
      const part = readPart(stream).then((bytes) => ({ name, fileName, bytes }));
      // If the form is cut off, its last part rejects before `Promise.all` handles it.
      part.catch(() => {});
      parts.push(part);
    });
    parser.on('error', (error) => reject(formInvalid(error)));
    parser.on('partsLimit', () => reject(tooManyParts(partsMax)));
    parser.on('finish', () => Promise.all(parts).then(resolve, reject));
    parser.end(body);
    // The library emits neither `finish` nor `error` for some forms, such as one with a large part that it
    // skips. The whole body is here and nothing in the library waits for a timer or a device, so a parser
    // that is not done in this turn of the event loop never will be.
    setImmediate(() => reject(formInvalid(new Error('The parser did not come to an end.'))));
  }).catch((error) => {
    throw error instanceof ScorelineError ? error : formInvalid(error);
  }) as Promise<Part[]>;
}

async function readPart(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Compares the declared type. Unlike `request.is`, this works for a request without a body. */
function hasType(request: Request, type: string): boolean {
  const given = request.headers['content-type'];
  return given === type || given?.split(';')[0]?.trim().toLowerCase() === type;
}

/** Returns the charset that the Content-Type declares. */
export function charsetOf(request: Request): string | undefined {
  const type = request.headers['content-type'];
  if (!type?.includes(';')) return undefined;
  const [, quoted, bare] = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]+))/i.exec(type) ?? [];
  return quoted ?? bare;
}

function hasBody({ headers }: Request): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/** @throws ScorelineError `input_missing` when the value of a JSON body is not an object */
export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw inputMissing(shown(value));
}

/** @param got what came in place of an object with an input */
export function inputMissing(got = 'none'): ScorelineError {
  return new ScorelineError(
    'input_missing',
    `Expected a JSON object with the key "input", as in {"input": "…"}; got ${got}.`,
  );
}

function encodedPart(name: string, coding: string): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    `Expected the parts of a form as they are; got ${JSON.stringify(name.slice(0, 60))} with the Content-Transfer-Encoding ${JSON.stringify(coding.slice(0, 60))}. Send its bytes without an encoding (RFC 7578, 4.7).`,
  );
}

function tooManyFields(): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    `Expected a form of at most ${fieldsMax} fields besides its inputs; got more.`,
  );
}

function tooManyParts(partsMax: number): ScorelineError {
  return new ScorelineError(
    'too_many_inputs',
    `Expected a form of at most ${partsMax} files and fields; got more. Send several requests.`,
  );
}

function formInvalid(thrown: unknown): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    'Expected a whole multipart/form-data body with the boundary that its Content-Type names; it could not be parsed.',
    { cause: coerceError(thrown) },
  );
}

function unsupported(request: Request, expected: string): ScorelineError {
  const got = request.get('content-type')?.slice(0, 100) ?? 'none';
  return new ScorelineError(
    'unsupported_media_type',
    `Expected the content type ${expected}; got ${got}. Set the Content-Type header.`,
  );
}
