// The body of a request, by its content type.

import express, { type Request, type RequestHandler, type Response } from 'express';
import multer, { MulterError } from 'multer';
import { ScorelineError } from '../../shared/errors.js';

export type Body =
  | { readonly type: 'json'; readonly value: unknown }
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  | {
      readonly type: 'form';
      readonly files: readonly { name: string; bytes: Buffer }[];
      readonly fields: Readonly<Record<string, unknown>>;
    };

/** @throws ScorelineError `unsupported_media_type`, and what the parsers throw */
export type ReadBody = (request: Request, response: Response) => Promise<Body>;

export function makeBodyReaders(bytesMax: number): { readJson: ReadBody; readAny: ReadBody } {
  const json = express.json({ limit: bytesMax, strict: false, type: () => true });
  const raw = express.raw({ limit: bytesMax, type: () => true });
  const form = multer({
    storage: multer.memoryStorage(),
    limits: { fileSize: bytesMax, files: 16, fields: 20, fieldSize: bytesMax, parts: 36 },
  }).any();

  const readForm = (request: Request, response: Response) =>
    new Promise<void>((resolve, reject) => {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        // A form has many parts; the limit is on all of them together.
        if (bytes > bytesMax) reject(new MulterError('LIMIT_FILE_SIZE'));
      });
      run(form, request, response).then(resolve, (error) =>
        // Besides its own errors, the parser throws plain ones at what is no form.
        reject(error instanceof MulterError ? error : formInvalid(error)),
      );
    });

  const readJson: ReadBody = async (request, response) => {
    if (!hasType(request, 'application/json')) throw unsupported(request, 'application/json');
    if (!hasBody(request)) throw inputMissing();
    await run(json, request, response);
    return { type: 'json', value: request.body };
  };

  const readAny: ReadBody = async (request, response) => {
    if (hasType(request, 'application/json')) return readJson(request, response);
    if (request.is('multipart/form-data')) {
      await readForm(request, response);
      const files = (request.files as Express.Multer.File[] | undefined) ?? [];
      return {
        type: 'form',
        files: files.map((file) => ({ name: file.originalname, bytes: file.buffer })),
        fields: { ...request.body },
      };
    }
    if (request.is(['image/*', 'text/plain', 'application/octet-stream'])) {
      await run(raw, request, response);
      return {
        type: 'bytes',
        bytes: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
      };
    }
    throw unsupported(request, 'application/json, multipart/form-data, image/* or text/plain');
  };

  return { readJson, readAny };
}

function run(handler: RequestHandler, request: Request, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    void handler(request, response, (error?: unknown) => (error ? reject(error) : resolve()));
  });
}

/** The declared type, also of a request without a body, for which `request.is` says nothing. */
function hasType(request: Request, type: string): boolean {
  return request.get('content-type')?.split(';')[0]?.trim().toLowerCase() === type;
}

function hasBody({ headers }: Request): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

export function inputMissing(): ScorelineError {
  return new ScorelineError(
    'input_missing',
    'Expected a JSON object with the key "input", as in {"input": "…"}; there is none.',
  );
}

function formInvalid(cause: unknown): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    'Expected a form as multipart/form-data, with the boundary its Content-Type names; it could not be read to its end.',
    { cause },
  );
}

function unsupported(request: Request, expected: string): ScorelineError {
  const came = request.get('content-type')?.slice(0, 100) ?? 'none';
  return new ScorelineError(
    'unsupported_media_type',
    `Expected the content type ${expected}; got ${came}. Set the Content-Type header.`,
  );
}
