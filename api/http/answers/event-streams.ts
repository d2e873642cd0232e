// The open event streams of this API instance. They are bounded, because each holds a connection and has its job
// looked at for as long as the job lasts.

import type { ServerResponse } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { errorTable, ScorelineError } from '../../../shared/errors.js';
import type { Access } from '../../access/access.js';
import { type Caller, shareOf } from '../../access/caller.js';
import { shuttingDown } from '../../call/call.js';
import { onDeparture } from '../connection/departure.js';
import { EventStream } from './event-stream.js';

/** Proxies close connections that are silent for a minute, some for half of one. */
const beatEveryMs = 15_000;

export type EventStreams = ReturnType<typeof makeEventStreams>;

/**
 * `access` is asked again at every beat, so a stream outlives neither the key or token that opened it, nor what these may
 * see.
 */
export function makeEventStreams({
  streamsMax,
  callerStreamsMax,
  access,
  beatMs = beatEveryMs,
}: {
  streamsMax: number;
  callerStreamsMax: number;
  access: Pick<Access, 'identify'>;
  beatMs?: number;
}) {
  const streams = new Map<EventStream, Caller>();
  /** By the id of the caller. */
  const counts = new Map<string, number>();
  let isClosed = false;
  const timer = setInterval(() => {
    for (const [stream, caller] of streams) {
      stream.beat();
      void endIfChanged(stream, caller, access);
    }
  }, beatMs);

  const count = ({ id }: Caller, change: 1 | -1) => {
    const open = (counts.get(id) ?? 0) + change;
    if (open === 0) counts.delete(id);
    else counts.set(id, open);
  };

  const check = (caller: Caller) => {
    if (isClosed) throw shuttingDown();
    if (streams.size >= streamsMax) throw full(streamsMax);
    const share = shareOf(caller.id);
    if (share !== undefined && (counts.get(share) ?? 0) >= callerStreamsMax) {
      throw callerFull(caller, callerStreamsMax);
    }
  };

  return {
    /**
     * Begins to answer a request with a stream of events.
     * @param onClose is called when the stream is over, whoever ends it
     * @throws ScorelineError `overloaded`, `concurrency_limited`, `shutting_down`
     */
    open(caller: Caller, response: ServerResponse, onClose: () => void): EventStream {
      check(caller);
      const stream = new EventStream(response);
      streams.set(stream, caller);
      count(caller, 1);
      onDeparture(response, () => {
        streams.delete(stream);
        count(caller, -1);
        onClose();
      });
      return stream;
    },
    get size(): number {
      return streams.size;
    },
    /** Ends all streams, so their clients connect to another instance. Can be called twice. */
    close(): void {
      isClosed = true;
      clearInterval(timer);
      for (const stream of streams.keys()) stream.end();
    },
  };
}

/** The client connects again, and is told why it is refused, or only of what exists for its caller now. */
async function endIfChanged(
  stream: EventStream,
  caller: Caller,
  { identify }: Pick<Access, 'identify'>,
) {
  try {
    const now = await identify(stream.headers);
    if (!isDeepStrictEqual(mayOf(now), mayOf(caller))) stream.end();
  } catch (error) {
    const isRefused = error instanceof ScorelineError && errorTable[error.code].status === 401;
    if (isRefused) stream.end();
  }
}

const advice =
  'Ask for the job instead, with Prefer: wait=60, or again after the time in Retry-After.';

function full(streamsMax: number): ScorelineError {
  return new ScorelineError(
    'overloaded',
    `Expected at most ${streamsMax} open event streams at this instance; there are as many already. ${advice}`,
    { retryAfterSeconds: 5, reason: 'event_streams' },
  );
}

function callerFull({ name }: Caller, callerStreamsMax: number): ScorelineError {
  return new ScorelineError(
    'concurrency_limited',
    `Expected at most ${callerStreamsMax} open event streams of ${name} at this instance; there are as many already. Close one. ${advice}`,
    { retryAfterSeconds: 5 },
  );
}

/** What a caller may see. */
function mayOf({ id, scopes, models }: Caller) {
  return { id, scopes, models };
}
