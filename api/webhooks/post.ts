// One attempt to deliver a webhook: a POST to its receiver, within a time, without following redirects.
//
// The answer counts when its status is there. Of its body no more is read than it takes to use the connection
// again.
//
// If the web is behind a proxy, the proxy looks up the name and connects, so the addresses are up to it. A host
// whose entry names networks is inside, and is reached without it.

import http from 'node:http';
import https from 'node:https';
import { nowMs } from '../../shared/clock.js';
import type { WebhookHost } from '../../shared/configuration/webhooks.js';
import { coerceError } from '../../shared/errors.js';
import { packageVersion } from '../../shared/version.js';
import { readRetryAfterMs } from './backoff.js';
import {
  checkLiteral,
  ForbiddenAddress,
  makeCheckedLookup,
  type Resolve,
} from './checked-lookup.js';

/** What becomes of an attempt, as the metrics count it. */
export const attemptOutcomes = [
  'delivered',
  'refused',
  'gone',
  'timeout',
  'unreachable',
  'forbidden',
  'unwritten',
] as const;

export interface Attempt {
  readonly outcome: (typeof attemptOutcomes)[number];
  /** What the operator and the owner of the job are told. */
  readonly detail: string;
  readonly retryAfterMs?: number | undefined;
}

export interface Message {
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Poster {
  /** Resolves to undefined if the poster is closed meanwhile. Never rejects. */
  post(message: Message): Promise<Attempt | undefined>;
  /** Breaks off what is on its way. */
  close(): void;
}

/** Less than receivers keep an idle connection, which is 5 s for Node's. */
const idleMsMax = 4000;
const answerBytesMax = 16_384;

/** Makes the poster for one host, with connections of its own. */
export function makePoster(
  host: WebhookHost,
  options: { attemptMs: number; concurrentMax: number; resolve: Resolve },
): Poster {
  const { attemptMs, concurrentMax, resolve } = options;
  const library = host.origin.startsWith('https:') ? https : http;
  const agent = new library.Agent({
    keepAlive: true,
    maxSockets: concurrentMax,
    timeout: idleMsMax,
    ...(host.networks.length === 0 && proxyOf(library.globalAgent)),
  });
  const lookup = makeCheckedLookup(host.networks, resolve);
  const onTheirWay = new Set<AbortController>();
  let isClosed = false;

  return {
    async post({ url, body, headers }) {
      const ending = new AbortController();
      const { signal } = ending;
      const timer = setTimeout(() => ending.abort(), attemptMs);
      onTheirWay.add(ending);
      try {
        checkLiteral(new URL(url).hostname, host.networks);
        const request = library.request(url, {
          ...{ method: 'POST', agent, lookup, signal },
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
            'user-agent': `Scoreline/${packageVersion()}`,
            ...headers,
          },
        });
        const response = await answerOf(request, body);
        await discard(response);
        return judge(response);
      } catch (thrown) {
        if (isClosed) return undefined;
        if (signal.aborted) return { outcome: 'timeout', detail: `no answer in ${attemptMs} ms` };
        if (thrown instanceof ForbiddenAddress)
          return { outcome: 'forbidden', detail: thrown.message };
        return { outcome: 'unreachable', detail: describe(coerceError(thrown)) };
      } finally {
        clearTimeout(timer);
        onTheirWay.delete(ending);
      }
    },
    close() {
      isClosed = true;
      for (const ending of onTheirWay) ending.abort();
      agent.destroy();
    },
  };
}

/** The proxy that Node takes for all requests, by NODE_USE_ENV_PROXY. The types are of a Node without it. */
function proxyOf(agent: http.Agent): { proxyEnv?: NodeJS.ProcessEnv } {
  const { options } = agent as { options?: { proxyEnv?: NodeJS.ProcessEnv } };
  return options?.proxyEnv ? { proxyEnv: options.proxyEnv } : {};
}

function answerOf(request: http.ClientRequest, body: string): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve);
    // Without a listener, Node tells of an answer of 101 in no other way than by `close`.
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response);
    });
    request.on('error', reject);
    request.on('close', () => reject(new Error('the connection was closed without an answer')));
    request.end(body);
  });
}

/** Reads a short body to its end, so the connection can be used again, and cuts off a long one. */
async function discard(response: http.IncomingMessage): Promise<void> {
  let bytes = 0;
  try {
    for await (const chunk of response) {
      bytes += (chunk as Buffer).length;
      if (bytes > answerBytesMax) break;
    }
  } catch {
    // The status has come already.
  }
}

function judge({ statusCode = 0, headers }: http.IncomingMessage): Attempt {
  if (statusCode >= 200 && statusCode < 300) return { outcome: 'delivered', detail: '' };
  if (statusCode === 410) {
    return { outcome: 'gone', detail: 'the receiver answered 410: it wants no more webhooks' };
  }
  const isElsewhere = statusCode >= 300 && statusCode < 400;
  return {
    outcome: 'refused',
    detail: `the receiver answered ${statusCode}${isElsewhere ? ', and redirects are not followed' : ''}`,
    retryAfterMs: readRetryAfterMs(headers['retry-after'], new Date(nowMs())),
  };
}

/** An error of several addresses has a code and no message. That of OpenSSL has its file and line as well. */
function describe(error: NodeJS.ErrnoException): string {
  const [, reason] = /:SSL routines:\w*:([^:]+)/.exec(error.message) ?? [];
  if (reason) return `the receiver does not speak TLS as expected: ${reason}`;
  return (error.message || error.code || error.name).slice(0, 200);
}
