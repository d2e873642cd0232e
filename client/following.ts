// Follows a job through its states. Connections may break: the next one goes on behind the last event, at whichever
// instance of the service.
//
// The service ends each connection after some minutes, also while nothing happens to the job. So the end of a connection
// is no failure, unless the connection has brought neither an event nor a comment.

import { ScorelineError } from './errors.js';
import { readEventStream, type ServerEvent, type StreamSigns } from './event-stream.js';
import { isPending, type Job, readJob } from './job.js';
import { type Limit, sleep } from './limit.js';
import { pauseAfter } from './retries.js';

/** What happened to a job: it has another state, or has moved in the line of its model. */
export type JobEvent<Result> =
  | {
      readonly type: 'state';
      /** Where to go on (`lastEventId`). */
      readonly id: string;
      readonly job: Job<Result>;
    }
  | {
      readonly type: 'position';
      readonly position?: number | undefined;
      readonly estimatedWaitMs?: number | undefined;
    };

/**
 * Yields events until the job has ended.
 * @param connect opens the stream behind an event, and retries by itself
 * @throws ScorelineError; the reason of the limit's signal
 */
export async function* followJob<Result>(
  connect: (lastEventId: string | undefined) => Promise<Response>,
  options: { limit: Limit; retries: number; lastEventId: string | undefined },
): AsyncGenerator<JobEvent<Result>, void> {
  const { limit, retries } = options;
  let { lastEventId } = options;
  let pauseMs = 1000;
  let isFruitless = true;
  const signs: StreamSigns = {
    setPauseMs: (ms) => {
      pauseMs = ms;
    },
    onComment: () => {
      isFruitless = false;
    },
  };
  for (let failures = 0; failures <= retries; ) {
    isFruitless = true;
    const response = await connect(lastEventId).catch((thrown) => {
      // The service has forgotten the earlier events, and this call has delivered them already.
      if (!isGone(thrown) || lastEventId === options.lastEventId) throw thrown;
      return connect(undefined);
    });
    // The end was told before.
    if (response.status === 204 || !response.body) return;
    for await (const event of untilLost(
      readEventStream(response.body, signs, limit.signal),
      limit,
    )) {
      const told = readJobEvent<Result>(event);
      if (told === 'damaged') break;
      isFruitless = false;
      if (!told) continue;
      if (told.type === 'state') lastEventId = told.id;
      yield told;
      if (told.type === 'state' && !isPending(told.job)) return;
    }
    await sleep(pauseAfter(isFruitless ? failures : 0, pauseMs), limit.signal);
    failures = isFruitless ? failures + 1 : 0;
  }
  throw new ScorelineError(
    `Expected the events of the job; ${retries + 1} connections in a row brought nothing.`,
    { code: 'connection_failed', isRetryable: true },
  );
}

/** A lost connection is an end like any other. Only the limit of the call ends more. */
async function* untilLost(
  events: AsyncGenerator<ServerEvent, void>,
  { signal }: Limit,
): AsyncGenerator<ServerEvent, void> {
  try {
    yield* events;
  } catch {
    signal.throwIfAborted();
  }
}

/** Returns undefined for what a later version may tell. */
function readJobEvent<Result>(event: ServerEvent): JobEvent<Result> | 'damaged' | undefined {
  const { id, type, data } = event;
  try {
    if (type === 'message' && id !== undefined) return { type: 'state', id, job: readJob(data) };
    return type === 'position' ? { type, ...JSON.parse(data) } : undefined;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return 'damaged';
    throw thrown;
  }
}

function isGone(thrown: unknown): boolean {
  return thrown instanceof ScorelineError && thrown.code === 'event_gone';
}
