// A request by gRPC, from its metadata to its departure.
//
// States: *arriving* until its message is there, then *begun*; *departed* when its answer is sent or its
// client is gone. What the request holds is given back when it departs.

import type { ServerHttp2Stream } from 'node:http2';
import { Metadata, type ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { TraceContext } from '../../shared/telemetry/telemetry.js';
import { type Caller, nobody } from '../access/caller.js';
import type { Slot } from '../access/limiter.js';
import type { LimitFields } from '../access/limits.js';
import { cacheFieldsOf } from '../cache/cache-note.js';
import type { Call } from '../call/call.js';
import { makeRequestId } from '../http/request-id.js';
import type { RequestTrace } from '../traces/request-trace.js';
import type { MethodName } from './protocol.js';

export class Arrival {
  readonly method: MethodName;
  readonly requestId: string;
  caller: Caller = nobody;
  /** If it is to be scored. */
  call: Call | undefined;
  slot: Slot | undefined;
  limitFields: LimitFields | undefined;
  /** The error that it was answered with. */
  failure: ScorelineError | undefined;
  /** Whether it was answered without an error. */
  isAnswered = false;
  /** If it is traced. */
  trace: RequestTrace | undefined;
  /** Milliseconds since the epoch. */
  readonly arrivedAt = nowMs();
  readonly #given: Metadata;
  readonly #onBegin: (() => void)[] = [];
  #isBegun = false;
  #hasDeparted = false;

  constructor(method: MethodName, given: Metadata) {
    this.method = method;
    this.#given = given;
    this.requestId = makeRequestId(this.read('x-request-id'));
  }

  get isBegun(): boolean {
    return this.#isBegun;
  }

  get hasDeparted(): boolean {
    return this.#hasDeparted;
  }

  /** Returns a field of the metadata; values that came several times are joined, as in HTTP. */
  read(name: string): string | undefined {
    const values = this.#given.get(name);
    return values.length === 0 ? undefined : values.join(', ');
  }

  /** The trace that the client says it belongs to. */
  get context(): TraceContext | undefined {
    const traceparent = this.read('traceparent');
    return traceparent === undefined
      ? undefined
      : { traceparent, tracestate: this.read('tracestate') };
  }

  /** What every answer says besides its message. */
  makeMetadata(): Metadata {
    const metadata = new Metadata();
    metadata.set('x-request-id', this.requestId);
    if (this.trace) metadata.set('traceresponse', this.trace.response);
    setFields(metadata, this.limitFields ?? {});
    if (this.call?.isReplayed) metadata.set('idempotency-replayed', 'true');
    if (this.call?.cacheNote) setFields(metadata, cacheFieldsOf(this.call.cacheNote));
    return metadata;
  }

  /** Calls the listener when the message is there or the request departs. */
  onBegin(listener: () => void): void {
    this.#onBegin.push(listener);
  }

  begin(): void {
    this.#isBegun = true;
    for (const listener of this.#onBegin.splice(0)) listener();
  }

  depart(): void {
    this.#hasDeparted = true;
    this.begin();
    // A call gives the slot back itself, and later than now if its work goes on for a repeat.
    if (this.call) this.call.end('abandoned');
    else this.slot?.release();
  }
}

function setFields(metadata: Metadata, fields: object): void {
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
}

/** What watches the bytes of a message, and what it does about them. */
interface Watch {
  readonly intercepted: ServerInterceptingCallInterface;
  /** Refuses the request. Called with what `countBytes` or `limitBytes` does not accept. */
  readonly refuse: (error: unknown) => void;
}

/** Counts the bytes of the message for the call, as they arrive. */
export function countBytes(
  watch: Watch,
  { call, bytesMax }: { call: Call; bytesMax: number },
): { settle(bytes: number): void } {
  let counted = 0;
  watchBytes(watch, (bytes) => {
    const more = Math.min(bytes, bytesMax) - counted;
    if (more <= 0) return;
    call.addBodyBytes(more);
    counted += more;
  });
  return {
    settle(bytes) {
      call.dropBody();
      call.addBodyBytes(bytes);
    },
  };
}

/** Refuses a message that is longer than names of models are. Nobody counts the bytes of such messages. */
export function limitBytes(watch: Watch): void {
  watchBytes(watch, (bytes) => {
    if (bytes <= namesBytesMax) return;
    throw new ScorelineError(
      'body_too_large',
      `Expected a message of at most ${namesBytesMax} bytes, since it holds no tensors; got more.`,
    );
  });
}

/**
 * Calls `check` with the size that the message may have by what has arrived of it.
 *
 * grpc-js hands a message over as a whole. Its stream is the only place to count the bytes before that, so
 * that large messages of many requests cannot fill the memory. The listener comes before the one of grpc-js,
 * which decompresses nothing of a request that has been refused.
 */
function watchBytes({ intercepted, refuse }: Watch, check: (bytes: number) => void): void {
  const stream = streamOf(intercepted);
  const { incomingEncoding } = intercepted as unknown as { incomingEncoding: string };
  // A compressed message may become so many times larger, at once and unseen.
  const growthMax = incomingEncoding === 'identity' ? 1 : compressionMax;
  let arrived = 0;
  stream.prependListener('data', (chunk: Buffer) => {
    arrived += chunk.length;
    try {
      check(arrived * growthMax);
    } catch (error) {
      refuse(error);
    }
  });
}

/** Returns the stream of a request, which grpc-js keeps to itself. */
export function streamOf(intercepted: ServerInterceptingCallInterface): ServerHttp2Stream {
  return (intercepted as unknown as { stream: ServerHttp2Stream }).stream;
}

/** The most that gzip and deflate can make of a byte. */
const compressionMax = 1032;
/** Enough for names even if they are compressed, which counts as so many times more. */
const namesBytesMax = 256 * 1024;
