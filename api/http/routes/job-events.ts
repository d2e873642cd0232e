// The route of a job's events: its states as they change, for as long as the client listens.

import type { Express, Request, Response } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import { followEvents, isLast, readEventId } from '../../jobs/job-events.js';
import type { JobRecord } from '../../jobs/job-record.js';
import { isPending } from '../../jobs/job-states.js';
import type { Jobs } from '../../jobs/jobs.js';
import { type EventStream, eventStreamHeaders, eventStreamType } from '../answers/event-stream.js';
import type { EventStreams } from '../answers/event-streams.js';
import { isGone } from '../connection/departure.js';
import { callerOf } from '../gate/gate.js';
import type { GatedRequest } from '../gate/gated-request.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { type WriteJobFor, whereModelFor, writeJobFor } from './job-answer.js';

const events = '/v1/jobs/:job/events';

export interface JobEventParts extends WriteJobFor {
  readonly jobs: Pick<Jobs, 'find' | 'follow' | 'standingOf'>;
  readonly eventStreams: Pick<EventStreams, 'open'>;
}

export function addJobEventRoutes(app: Express, parts: JobEventParts): void {
  const { jobs, eventStreams } = parts;

  app.get(events, needs('score', 'jobs'), async (request, response, next) => {
    if (!request.accepts(eventStreamType)) throw notAcceptable(request);
    const caller = callerOf(request);
    const record = await jobs.find(caller.id, String(request.params.job));
    const seen = readSeen(request, record);
    if (seen !== undefined && isLast(seen)) {
      // The HTML standard: at this, an EventSource does not connect again.
      response.status(204).end();
      return;
    }
    if (isGone(response)) return;
    if (request.method === 'HEAD') {
      response.writeHead(200, eventStreamHeaders).end();
      return;
    }
    let stop = () => {};
    const stream = eventStreams.open(caller, response, () => stop());
    // A stream only waits, so it is none of the caller's requests in flight.
    (request as GatedRequest).slot?.release();
    stop = tell(parts, { record, seen, stream, response, onFault: next });
  });

  app.all(events, allow('GET', 'HEAD'));
}

function tell(
  parts: JobEventParts,
  options: {
    record: JobRecord;
    seen: ReturnType<typeof readSeen>;
    stream: EventStream;
    response: Response;
    onFault: (error: unknown) => void;
  },
): () => void {
  const { record, seen, stream, response, onFault } = options;
  return followEvents(
    parts.jobs,
    { record, seen },
    {
      onState(state, id, standing) {
        const caller = callerOf(response.req);
        // Its client connects again, and the state is told then, here or by another instance.
        const isEarly =
          state.state === 'succeeded' && whereModelFor(caller, parts)(record) === 'awaited';
        if (isEarly) return stream.end();
        stream.send({ id, data: writeJobFor(caller, { record, state, standing }, parts) });
        if (!isPending(state)) stream.end();
      },
      onStanding(standing) {
        // A client that is behind needs no news that will be old when it reads them.
        if (!stream.isBehind) stream.send({ type: 'position', data: JSON.stringify(standing) });
      },
      onFault,
    },
  );
}

function readSeen(request: Request, record: JobRecord) {
  const id = request.headers['last-event-id'];
  return id === undefined || id === '' ? undefined : readEventId(String(id), record);
}

function notAcceptable({ headers }: Request): ScorelineError {
  return new ScorelineError(
    'not_acceptable',
    `Expected a client that accepts ${eventStreamType}; got Accept: ${String(headers.accept).slice(0, 60)}. For JSON, ask for the job itself, at the address without /events.`,
  );
}
