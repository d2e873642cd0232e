// Reads the body of a stream: JSON in lines (NDJSON), of any length.
//
// It is read as its lines are taken, so the network holds back what nobody has asked for yet. In memory are a chunk
// of it and the line that is being read. A line that is too long is passed over without being kept.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { Request } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import { type Call, shuttingDown } from '../../call/call.js';
import { linesType } from '../answers/json.js';
import { isKserve, pathOf } from '../paths.js';
import { cutOff, openBody } from './bytes.js';
import { Pieces } from './pieces.js';

const isLines = /^application\/x-ndjson\s*(?:;|$)/i;
/** How long a wait for bytes may last before it is looked whether it has an end. */
const lookAgainMs = 500;
const newline = 0x0a;
/** A line that is too long fails alone, unless it is so many times too long. Then it ends the stream. */
const skippedLinesMax = 8;
const blanks: ReadonlySet<number> = new Set([newline, 0x0d, 0x20, 0x09]);

/** Whether the body of a request to be scored is a stream. */
export function sendsLines(request: IncomingMessage): boolean {
  const type = request.headers['content-type'] ?? '';
  return isLines.test(type) && !isKserve(pathOf(request));
}

/** Whether a client asks for an answer in lines. */
export function wantsLines(request: Request): boolean {
  return request.accepts(['application/json', linesType]) === linesType;
}

/** A line without its end, or why it is not kept. */
export type Line = { readonly bytes: Buffer } | { readonly error: ScorelineError };

interface LineOptions {
  readonly call: Call;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly lineBytesMax: number;
  /** How long the client may take until the next line begins, and then until it ends. */
  readonly pauseMsMax: number;
  readonly isShuttingDown: () => boolean;
}

export class LineReader {
  readonly #options: LineOptions;
  readonly #body: Readable;
  /** What has been read and not taken. */
  #rest: Buffer = Buffer.alloc(0);
  #isEnded = false;
  #failure: ScorelineError | undefined;
  #wake = () => {};
  readonly #stopListening: () => void;

  /** @throws ScorelineError `unsupported_media_type` for a compression that is not known */
  constructor(options: LineOptions) {
    this.#options = options;
    const { call, request, response } = options;
    const body = openBody(request, response);
    this.#body = body;
    const onReadable = () => this.#wake();
    const onEnd = () => {
      this.#isEnded = true;
      this.#wake();
    };
    const fail = (cause?: Error) => {
      this.#failure ??= cutOff(cause);
      this.#wake();
    };
    const onClose = () => {
      if (!request.complete) fail();
    };
    body.on('readable', onReadable).on('end', onEnd).on('error', fail);
    request.on('close', onClose);
    if (body !== request) request.on('error', fail);
    const stopEnding = call.ending.onEnd(onReadable);
    this.#stopListening = () => {
      stopEnding();
      body.off('readable', onReadable).off('end', onEnd);
      request.off('close', onClose);
    };
  }

  /**
   * Waits until another line begins that is not blank, or the body ends.
   * @throws ScorelineError `request_timeout`, `request_invalid`, `body_too_large`, `shutting_down`, or the reason of the
   * call's ending
   */
  async hasNext(): Promise<boolean> {
    const since = performance.now();
    let blank = 0;
    for (;;) {
      const at = endOfBlanks(this.#rest);
      if (at < this.#rest.length) {
        this.#rest = this.#rest.subarray(at);
        return true;
      }
      // A few compressed bytes may be gigabytes of them.
      blank += at;
      if (blank > this.#options.lineBytesMax) throw tooBlank(this.#options.lineBytesMax);
      const chunk = await this.#read(since);
      if (!chunk) return false;
      this.#rest = chunk;
    }
  }

  /**
   * Takes the next line. Its bytes count for the call, which has to drop them.
   * @throws ScorelineError as `hasNext`
   */
  async next(): Promise<Line> {
    const { call, lineBytesMax } = this.#options;
    const since = performance.now();
    const pieces = new Pieces();
    let error: ScorelineError | undefined;
    let bytes = 0;
    for (;;) {
      const end = this.#rest.indexOf(newline);
      const piece = end < 0 ? this.#rest : this.#rest.subarray(0, end);
      bytes += piece.length;
      if (bytes > skippedLinesMax * lineBytesMax) throw tooLong(lineBytesMax);
      if (!error) {
        const isTooLong = pieces.bytes + piece.length > lineBytesMax;
        error = isTooLong ? tooLong(lineBytesMax) : countBytes(call, piece.length);
        if (error) {
          pieces.clear();
          call.dropBody();
        } else pieces.add(piece);
      }
      this.#rest = end < 0 ? Buffer.alloc(0) : this.#rest.subarray(end + 1);
      const chunk = end < 0 ? await this.#read(since) : undefined;
      if (!chunk) return error ? { error } : { bytes: pieces.take() };
      this.#rest = chunk;
    }
  }

  /** Stops reading. What is left of the body is up to `leaveBody`. */
  close(): void {
    const { request } = this.#options;
    this.#stopListening();
    // The request keeps a listener of this, and Node keeps the request until the next one of its connection.
    this.#rest = Buffer.alloc(0);
    if (this.#body === request) return;
    request.unpipe();
    this.#body.destroy();
  }

  /**
   * Returns undefined at the end of the body.
   * @param since when the client began to be late, by `performance.now()`
   */
  async #read(since: number): Promise<Buffer | undefined> {
    const { call, pauseMsMax, isShuttingDown } = this.#options;
    for (;;) {
      if (call.ending.reason) throw call.ending.reason;
      const chunk = this.#body.read() as Buffer | null;
      if (chunk) return chunk;
      if (this.#isEnded) return undefined;
      if (this.#failure) throw this.#failure;
      if (isShuttingDown()) throw shuttingDown();
      if (performance.now() - since > pauseMsMax) throw paused(pauseMsMax);
      await this.#change();
    }
  }

  /** Waits until something happens to the body or to the call, or for a moment. */
  async #change(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, lookAgainMs);
    });
    clearTimeout(timer);
  }
}

function countBytes(call: Call, bytes: number): ScorelineError | undefined {
  try {
    call.addBodyBytes(bytes);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof ScorelineError) return thrown;
    throw thrown;
  }
}

/** Returns where blanks end: at the first other byte, or at the end. */
function endOfBlanks(bytes: Buffer): number {
  let at = 0;
  while (at < bytes.length && blanks.has(bytes[at] as number)) at++;
  return at;
}

function tooBlank(bytesMax: number): ScorelineError {
  return new ScorelineError(
    'body_too_large',
    `Expected at most ${bytesMax} bytes of blanks and blank lines in a row; got more. Send the next input, or end the request.`,
  );
}

function tooLong(bytesMax: number): ScorelineError {
  return new ScorelineError(
    'body_too_large',
    `Expected a line of at most ${bytesMax} bytes; got more. Send a smaller input, or several lines with a newline after each.`,
  );
}

function paused(pauseMsMax: number): ScorelineError {
  return new ScorelineError(
    'request_timeout',
    `Expected the next line to begin within ${pauseMsMax} ms, and to end as soon after that; it took longer.`,
  );
}
