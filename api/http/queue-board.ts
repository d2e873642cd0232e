// The page that shows the queues as BullMQ has them: bull-board, which can look and change nothing here.

import type { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { Express, RequestHandler, Response } from 'express';
import { errorTable, problemOf, ScorelineError } from '../../shared/errors.js';

type BullQueue = ConstructorParameters<typeof BullMQAdapter>[0];

/** Its own scripts and styles, and those that it writes into elements. It loads fonts from elsewhere otherwise. */
const boardPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Makes the handler for all addresses below a path.
 * @param options.queues the queues that there are now, by the name that the page shows
 */
export async function makeQueueBoard(options: {
  app: Express;
  path: string;
  queues: () => ReadonlyMap<string, BullQueue>;
}): Promise<RequestHandler> {
  const { app, path, queues } = options;
  const { createBullBoard } = await import('@bull-board/api');
  const { BullMQAdapter } = await import('@bull-board/api/bullMQAdapter');
  const { ExpressAdapter } = await import('@bull-board/express');

  const server = new ExpressAdapter().setBasePath(path);
  const uiConfig = {
    boardTitle: 'Scoreline: queues',
    // Workers are no clients that BullMQ knows: GET /v1/models counts them.
    showWorkers: false,
    hideRedisDetails: true,
  };
  const board = createBullBoard({ queues: [], serverAdapter: server, options: { uiConfig } });
  const unavailable = new ScorelineError('queue_unavailable', 'The queues cannot be read now.');
  // Its own handler shows the messages of errors.
  const status = errorTable[unavailable.code].status as 500;
  server.setErrorHandler(() => ({ status, body: problemOf(unavailable) }));
  const inner = server.getRouter() as Express;
  inner.disable('x-powered-by');
  // Express gives requests and responses the prototypes of the application that handles them. Those of
  // ours know the headers of every answer.
  const own = { app: { value: inner } };
  Object.assign(inner, {
    request: Object.create(app.request, own),
    response: Object.create(app.response, own),
  });

  const shown = new WeakMap<BullQueue, BullMQAdapter>();
  const adapterOf = (name: string, queue: BullQueue): BullMQAdapter => {
    const known = shown.get(queue);
    if (known) return known;
    const adapter = new BullMQAdapter(queue, { readOnlyMode: true, displayName: name });
    adapter.setFormatter('data', withoutInputs);
    shown.set(queue, adapter);
    return adapter;
  };

  return (request, response, next) => {
    board.replaceQueues([...queues()].map(([name, queue]) => adapterOf(name, queue)));
    setPolicy(response);
    inner(request, response, next);
  };
}

/** Shows what a job is, and nothing that a caller has sent. */
function withoutInputs(data: unknown): unknown {
  const { wire, replyTo, items } = data as Record<string, unknown>;
  const times = (Array.isArray(items) ? items : []).map(({ id, submittedAt, deadlineAt }) => ({
    id,
    submittedAt: toTime(submittedAt),
    deadlineAt: toTime(deadlineAt),
  }));
  return { wire, replyTo, items: times };
}

function toTime(ms: unknown): string | undefined {
  return typeof ms === 'number' ? new Date(ms).toISOString() : undefined;
}

/** The headers of every answer come with its head, so this one has to come there as well. */
function setPolicy(response: Response): void {
  const writeHead = response.writeHead;
  response.writeHead = function (this: Response, status: number, ...given: unknown[]) {
    const own = given.at(-1);
    // In the case in which answer-headers.ts has it, since it takes the place of that one.
    const headers = { ...(typeof own === 'object' && own), 'content-security-policy': boardPolicy };
    return writeHead.call(this, status, headers);
  } as typeof writeHead;
}
