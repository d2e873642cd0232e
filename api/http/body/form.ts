// Reads a form: multipart/form-data (RFC 7578).

import type { Readable, Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Dicer } from '@fastify/busboy';
import { decodeExtended, parse as parseDisposition } from 'content-disposition';
import { coerceError, ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';
import { charsetIn, decodeText } from '../../kinds/charset.js';

/** A part with a file name. */
export interface FilePart {
  readonly name: string;
  readonly bytes: Buffer;
  /** What its Content-Type declares. */
  readonly charset: string | undefined;
}

export interface Form {
  /** A field that occurs several times has all its values, in order. */
  readonly fields: Readonly<Record<string, string | readonly string[]>>;
  /** Files, and texts of the field `input`, in the order of the form. */
  readonly inputs: readonly (string | FilePart)[];
}

/** The field of a form that has an input. */
const inputField = 'input';
/** The most fields of a form besides its inputs. */
const fieldsMax = 20;

/**
 * Reads a form. Parts with a file name are files. The others are fields, in the charset that they declare.
 * @param boundary what separates its parts
 * @param inputsMax the most inputs of a form
 * @throws ScorelineError `request_invalid`, `too_many_inputs`, and the errors of `decodeText`
 */
export async function parseForm(
  body: Buffer,
  boundary: string | undefined,
  inputsMax: number,
): Promise<Form> {
  if (!boundary) throw formInvalid(new Error('The Content-Type names no boundary.'));
  const texts = new Map<string, string[]>();
  const inputs: (string | FilePart)[] = [];
  for (const part of await splitForm(body, boundary, inputsMax + fieldsMax)) {
    const { name, fileName, bytes, charset } = part;
    if (fileName !== undefined) {
      inputs.push({ name: fileName, bytes, charset });
      continue;
    }
    const same = texts.get(name) ?? [];
    const text = decodeText(bytes, charset);
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
  return { fields, inputs };
}

interface PartHead {
  readonly name: string;
  readonly fileName: string | undefined;
  readonly charset: string | undefined;
}

type Part = PartHead & { readonly bytes: Buffer };

/** How much of a form is split before others get their turn. The worst heads take some milliseconds. */
const sliceBytes = 64 * 1024;

function splitForm(body: Buffer, boundary: string, partsMax: number): Promise<Part[]> {
  return new Promise((resolve, reject) => {
    const parts: Promise<Part>[] = [];
    /** Fields besides inputs. */
    let fields = 0;
    /** Parts whose heads have not come. */
    let headless = 0;
    let isRefused = false;
    const refuse = (thrown: unknown) => {
      isRefused = true;
      reject(thrown);
    };
    const splitter = new Dicer({ boundary });
    splitter.on('part', (stream) => {
      headless++;
      // A form can be cut off before the part has a reader.
      stream.on('error', refuse);
      stream.on('header', (header) => {
        headless--;
        try {
          const head = readHead(header as PartFields);
          if (head.fileName === undefined && head.name !== inputField) fields++;
          if (fields > fieldsMax) throw tooManyFields();
          if (parts.length === partsMax) throw tooManyParts(partsMax);
          const part = readPart(stream).then((bytes) => ({ ...head, bytes }));
          // If the form is cut off, its last part rejects before `Promise.all` handles it.
          part.catch(() => {});
          parts.push(part);
        } catch (thrown) {
          refuse(thrown);
        }
      });
    });
    splitter.on('error', refuse);
    splitter.on('finish', () => {
      // The library passes over a part whose head has no end.
      if (headless > 0) refuse(new Error('A part has no end of its head.'));
      Promise.all(parts).then(resolve, refuse);
    });
    // The library emits neither `finish` nor `error` for some forms, such as one whose part has no head. Nothing in it
    // waits for a timer or a device, so a splitter that is not done in the turn of its last bytes never will be.
    writeInTurns(splitter, firstParts(body, boundary, partsMax + 1), () => isRefused)
      .then(() => nextTurn())
      .then(() => refuse(new Error('The form does not come to an end.')), refuse);
  }).catch((thrown) => {
    throw thrown instanceof ScorelineError ? thrown : formInvalid(thrown);
  }) as Promise<Part[]>;
}

/**
 * Returns the beginning of a form with so many parts, well-formed or not; the whole form if it has no more.
 * To find a part takes a hundredth of the time that the library needs for it.
 */
function firstParts(body: Buffer, boundary: string, count: number): Buffer {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  let at = -2;
  // The first delimiter may lack its line break.
  if (!body.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2))) {
    at = body.indexOf(delimiter);
    if (at < 0) return body;
  }
  for (let parts = 0; parts < count; parts++) {
    at = body.indexOf(delimiter, at + delimiter.length);
    if (at < 0) return body;
  }
  // Without the next delimiter, the end of the last part might be the beginning of one.
  return body.subarray(0, at + delimiter.length);
}

async function writeInTurns(
  splitter: Writable,
  body: Buffer,
  isRefused: () => boolean,
): Promise<void> {
  for (let at = 0; at < body.length; at += sliceBytes) {
    if (at > 0) await nextTurn();
    if (isRefused()) return;
    splitter.write(body.subarray(at, at + sliceBytes));
  }
  splitter.end();
}

/** The header fields of a part, by their names in small letters. A byte is a character. */
type PartFields = Readonly<Record<string, readonly string[]>>;

type PartParameters = ReturnType<typeof parseDisposition>['parameters'];

/** How the bytes of a part may be said to be sent (RFC 2045). None of these changes them. */
const plainCodings = new Set(['7bit', '8bit', 'binary']);

function readHead(given: PartFields): PartHead {
  const [disposition = ''] = given['content-disposition'] ?? [];
  const { type, parameters } = parseDisposition(disposition, { multipart: true, extended: false });
  const { name } = parameters;
  if (type !== 'form-data' || name === undefined) {
    throw formInvalid(new Error('A part has no Content-Disposition with the name of a field.'));
  }
  const [coding = '7bit'] = given['content-transfer-encoding'] ?? [];
  if (!plainCodings.has(coding.trim().toLowerCase())) throw encodedPart(name, coding);
  return {
    name: fromBytes(name),
    fileName: fileNameIn(parameters),
    charset: charsetIn(given['content-type']?.[0]),
  };
}

/** Some clients send `filename*` alone, which RFC 7578 does not allow. */
function fileNameIn({ filename, 'filename*': extended }: PartParameters): string | undefined {
  if (extended !== undefined) return decodeExtended(extended) ?? '';
  return filename === undefined ? undefined : fromBytes(filename);
}

/** The names of a form are UTF-8 without a sign of it. */
function fromBytes(characters: string): string {
  return Buffer.from(characters, 'latin1').toString('utf8');
}

async function readPart(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function encodedPart(name: string, coding: string): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    `Expected the parts of a form as they are; got ${shown(name)} with the Content-Transfer-Encoding ${shown(coding)}. Send its bytes without an encoding (RFC 7578, 4.7).`,
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
    'Expected a whole multipart/form-data body with the boundary that its Content-Type names, and a name for each part; it could not be parsed.',
    { cause: coerceError(thrown) },
  );
}
