// The service that this page came from. All requests go through the client for TypeScript; this file notes what
// the client leaves out: the fields of the answer's head, and how long it took as seen from here.

import {
  type Input,
  type Models,
  type Score,
  ScorelineClient,
  ScorelineError,
  type TensorRequest,
} from '../../../client/client.js';
import type { Inference } from '../../../client/job.js';
import { randomId } from '../../../client/random-id.js';
import { keep } from './kept.js';

export type ModelInfo = Models['models'][number];

export interface Note {
  readonly requestId: string;
  /** From the request to the end of its answer, as seen from here. */
  readonly totalMs: number;
  readonly traceId?: string | undefined;
  /** Where the time went, if the answer's head says it. */
  readonly timing?: Score['timing'] | undefined;
}

export interface Noted<Answer> {
  readonly answer: Answer;
  readonly note: Note;
}

interface Terms {
  readonly signal?: AbortSignal | undefined;
  readonly version?: string | undefined;
}

/** The address of the service, which may be behind a prefix. */
export const serviceUrl = new URL('.', location.href.split(/[?#]/, 1)[0]).href;

const keptKey = keep('key', 'session');
const heads = new Map<string, Headers>();

export class Service {
  #client = makeClient(keptKey.read());

  get client(): ScorelineClient {
    return this.#client;
  }

  get key(): string | undefined {
    return keptKey.read();
  }

  /** The key stays in this tab. Undefined forgets it. */
  setKey(key: string | undefined): void {
    this.#client = makeClient(key);
    keptKey.write(key);
  }

  score(model: ModelInfo, input: Input, terms: Terms): Promise<Noted<Score>> {
    return this.#note((options) => this.#client.score(model.name, input, options), model, terms);
  }

  infer(model: ModelInfo, request: TensorRequest, terms: Terms): Promise<Noted<Inference>> {
    return this.#note((options) => this.#client.infer(model.name, request, options), model, terms);
  }

  /**
   * Asks an address for which the client has no method.
   * @throws ScorelineError
   */
  async ask<Answer>(
    path: string,
    init: { method?: 'GET' | 'POST'; body?: string; signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const headers = new Headers(
      init.body === undefined ? {} : { 'Content-Type': 'application/json' },
    );
    const { key } = this;
    if (key !== undefined) headers.set('Authorization', `Bearer ${key}`);
    const response = await fetchFrom(path, { ...init, headers, credentials: 'omit' });
    if (response.ok) return response.json();
    const problem = await response.json().catch(() => ({}));
    const { code = 'answer_unexpected', detail = `The service answered ${response.status}.` } =
      problem;
    const requestId = response.headers.get('X-Request-Id') ?? undefined;
    throw new ScorelineError(detail, { code, status: response.status, problem, requestId });
  }

  async #note<Answer>(
    ask: (options: object) => Promise<Answer>,
    { version }: ModelInfo,
    { signal }: Terms,
  ): Promise<Noted<Answer>> {
    const requestId = randomId();
    const startedAt = performance.now();
    try {
      // People should see what the service says, so only a connection that was lost gets a second chance.
      const answer = await ask({ version, signal, requestId, retries: 1, idempotencyKey: false });
      const totalMs = performance.now() - startedAt;
      const head = heads.get(requestId);
      const [, traceId] = head?.get('traceresponse')?.split('-') ?? [];
      const timing = readTiming(head?.get('Server-Timing') ?? '');
      return { answer, note: { requestId, totalMs, traceId, timing } };
    } finally {
      heads.delete(requestId);
    }
  }
}

/**
 * Fetches something of the service.
 * @throws ScorelineError `connection_failed`
 */
async function fetchFrom(path: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(`${serviceUrl}${path}`, init);
  } catch (cause) {
    init?.signal?.throwIfAborted();
    throw new ScorelineError('Expected an answer; the connection failed.', {
      ...{ code: 'connection_failed', isRetryable: true, cause },
    });
  }
}

/**
 * Fetches one of the pictures that the service has.
 * @throws ScorelineError
 */
export async function fetchSample(file: string): Promise<Blob> {
  const response = await fetchFrom(sampleAt(file));
  if (response.ok) return response.blob();
  const { status } = response;
  throw new ScorelineError(`Expected the picture ${file}; the service answered ${status}.`, {
    ...{ code: 'answer_unexpected', status },
  });
}

/** The address of a picture, in that of the service. */
export function sampleAt(file: string): string {
  return `playground/${file}`;
}

/** Reads what the service writes in `Server-Timing` of an answer of tensors. */
function readTiming(text: string): Score['timing'] | undefined {
  const numbers = /^queue;dur=(.+), batch;dur=(.+);desc=(.+), run;dur=(.+)$/.exec(text);
  if (!numbers) return undefined;
  const [queueMs = 0, batchMs = 0, batchSize = 0, computeMs = 0] = numbers.slice(1).map(Number);
  return { queueMs, batchMs, batchSize, computeMs };
}

function makeClient(key: string | undefined): ScorelineClient {
  return new ScorelineClient({ url: serviceUrl, key, fetch: fetchNoting });
}

const fetchNoting: typeof fetch = async (address, init) => {
  const response = await fetch(address, init);
  const sent = new Headers(init?.headers).get('X-Request-Id');
  if (sent !== null) heads.set(sent, response.headers);
  return response;
};
