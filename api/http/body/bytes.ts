// Reads the bytes of a body up to a limit, counts them for the call, and stops when the call ends.
//
// The reader stops at the first byte over the limit and keeps nothing. `express.raw` can neither count
// for a call nor stop at its end, so this is our own reader.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';
import type { Call } from '../../call/call.js';
import { Pieces } from './pieces.js';

/**
 * Reads the whole body, and decompresses it if the Content-Encoding says so. The limit holds for the
 * decompressed bytes.
 * @param peek gets the first chunk; if it throws, reading ends with its error
 * @throws ScorelineError `body_too_large`, `overloaded`, `unsupported_media_type`,
 * `request_invalid`, or the reason of the call's ending
 */
export type ReadBytes = (
  call: Call,
  request: IncomingMessage,
  response: ServerResponse,
  peek?: (first: Buffer) => void,
) => Promise<Buffer>;

export function makeReadBytes(bytesMax: number): ReadBytes {
  return (call, request, response, peek) => {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > bytesMax) throw tooLarge(bytesMax, String(declared));
    const body = openBody(request, response);
    return collect(body, { call, request, bytesMax, peek });
  };
}

/**
 * Asks the client for the body if it waits for that, and decompresses it.
 * @throws ScorelineError `unsupported_media_type`
 */
export function openBody(request: IncomingMessage, response: ServerResponse): Readable {
  const body = decompress(request);
  const expectsContinue = request.headers.expect !== undefined && request.httpVersion !== '1.0';
  if (expectsContinue) response.writeContinue();
  return body;
}

function collect(
  body: Readable,
  options: {
    call: Call;
    request: IncomingMessage;
    bytesMax: number;
    peek: ((first: Buffer) => void) | undefined;
  },
): Promise<Buffer> {
  const { call, request, bytesMax, peek } = options;
  return new Promise((resolve, reject) => {
    const pieces = new Pieces();

    const stop = () => {
      body.off('data', onData).off('end', onEnd).off('error', onError);
      request.off('close', onClose).off('error', onError);
      // Further errors, such as those of bytes behind the end of compressed ones, are of no concern.
      body.on('error', ignore);
      stopListening();
    };
    const refuse = (error: unknown) => {
      stop();
      if (body !== request) {
        request.unpipe();
        // Without listeners, the stream would go on decompressing the bytes it already has.
        body.destroy();
      }
      request.pause();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      try {
        if (pieces.bytes + chunk.length > bytesMax) throw tooLarge(bytesMax, 'more');
        call.addBodyBytes(chunk.length);
        if (pieces.bytes === 0) peek?.(chunk);
        pieces.add(chunk);
      } catch (error) {
        refuse(error);
      }
    };
    const onEnd = () => {
      // Node keeps a request until the next one of its connection. Its listeners would keep these bytes as long.
      stop();
      resolve(pieces.take());
    };
    const onError = (cause: Error) => refuse(cutOff(cause));
    const onClose = () => {
      if (!request.complete) refuse(cutOff());
    };
    const { ending } = call;
    if (ending.reason) return reject(ending.reason);
    const stopListening = ending.onEnd(() => refuse(ending.reason));
    body.on('data', onData).on('end', onEnd).on('error', onError);
    request.on('close', onClose);
    if (body !== request) request.on('error', onError);
  });
}

function ignore(): void {}

function decompress(request: IncomingMessage): Readable {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  switch (encoding) {
    case 'identity':
    case '':
      return request;
    case 'gzip':
    case 'x-gzip':
      return request.pipe(createGunzip());
    case 'deflate':
      return request.pipe(createInflate());
    case 'br':
      return request.pipe(createBrotliDecompress());
    default:
      throw new ScorelineError(
        'unsupported_media_type',
        `Expected a plain body, or one compressed with gzip, deflate or br; got the Content-Encoding ${shown(encoding)}.`,
      );
  }
}

function tooLarge(bytesMax: number, got: string): ScorelineError {
  return new ScorelineError(
    'body_too_large',
    `Expected a body of at most ${bytesMax} bytes; got ${got}. Send a smaller input.`,
  );
}

export function cutOff(cause?: Error): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    'Expected a whole body in the form that its headers declare; it ended early or could not be decompressed.',
    { cause },
  );
}
