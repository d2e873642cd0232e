// One exchange with the service: a request and its answer, or the error that the answer is.
//
// The key of the caller goes into one header, and nowhere else: not into the address, and not into an error. It goes
// as `Authorization`, which fetch takes off when it is led to another origin; redirects are not followed anyway.

import type { Problem } from './answers.js';
import { answerUnexpected, misuse, ScorelineError } from './errors.js';

export interface SiteOptions {
  /** Where the service is, such as `https://scoring.example.com`. It may have a path. */
  readonly url: string | URL;
  /** An API key or an access token, or a function that returns the one that is valid now. */
  readonly key?: string | (() => string | Promise<string>) | undefined;
  /** The fetch to use; that of the platform, if unset. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

export type Query = Readonly<Record<string, string | number | undefined>>;
export type Fields = Readonly<Record<string, string | undefined>>;

export interface Asked {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** The parts of the path, which need no encoding yet. */
  readonly path: readonly string[];
  readonly query?: Query;
  readonly headers?: Fields;
  readonly body?: string | Blob | ArrayBuffer | ArrayBufferView | undefined;
  /** Whether the caller waits for what the service does, so that is no use after the time limit of the call. */
  readonly isAwaited?: boolean;
  /** How long an answer may take until its connection counts as lost. */
  readonly answerMsMax?: number;
}

/**
 * Sends a request, and reads its answer.
 * @throws ScorelineError
 */
export type Exchange = <T>(
  asked: Asked,
  terms: { signal: AbortSignal; requestId: string },
  read: (response: Response) => Promise<T>,
) => Promise<T>;

export function makeExchange({ url, key, fetch = globalThis.fetch }: SiteOptions): Exchange {
  const base = readBase(url);
  if (key !== undefined && typeof key !== 'function') checkKey(key);

  return async (asked, { signal, requestId }, read) => {
    const headers = makeFields({ ...asked.headers, 'X-Request-Id': requestId });
    const shown =
      typeof key === 'function' ? checkKey(await beforeAbort((async () => key())(), signal)) : key;
    signal.throwIfAborted();
    if (shown !== undefined) headers.set('Authorization', `Bearer ${shown}`);
    const { method, body } = asked;
    const lost = (cause: unknown): never => {
      throw connectionFailed(base, requestId, cause);
    };
    const init = {
      ...{ method, headers, signal, ...(body !== undefined && { body }) },
      // The browser keeps nothing of the caller, and sends nothing of its own.
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'manual',
    } as RequestInit;
    const response = await fetch(addressOf(base, asked), init).catch(async (cause) => {
      if (body instanceof Blob) await checkReadable(body);
      return lost(cause);
    });
    if (!response.ok) {
      throw await beforeAbort(errorOf(response, base, requestId), signal).catch(lost);
    }
    try {
      return await beforeAbort(read(response), signal);
    } catch (thrown) {
      // The reason of the signal is an error of ours, too, but this request has no answer.
      throw thrown instanceof ScorelineError && !signal.aborted ? thrown : lost(thrown);
    }
  };
}

/** To fetch, a file that cannot be read is a lost connection. A browser does not say which it was. */
async function checkReadable(file: Blob): Promise<void> {
  await file
    .slice(0, 1)
    .arrayBuffer()
    .catch((cause) => {
      const message =
        'Expected a file that can be read; it was changed or deleted after it was opened. Open it again.';
      throw new TypeError(message, { cause });
    });
}

/** Waits no longer than the signal allows. The fetch of Node 20 never ends a body whose gzip is damaged. */
function beforeAbort<T>(reading: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    reading.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** What a member of an answer has to be, by its name. */
export type Members = Readonly<Record<string, Member>>;
type Member = 'text' | 'object' | 'objects';

/**
 * Parses the body of an answer: an object with these members at least.
 * @throws ScorelineError `answer_unexpected`
 */
export function parseJson<T>(
  response: Response,
  bytes: ArrayBuffer | Uint8Array,
  { parse, members }: { parse: (text: string) => T; members: Members },
): T {
  let value: T | undefined;
  try {
    value = parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    if (cause instanceof ScorelineError) throw cause;
    const message = 'Expected an answer in JSON; it could not be parsed.';
    const type = response.headers.get('Content-Type') ?? '';
    // The service writes no such JSON, so a part of it has been lost on its way.
    throw unexpected(response, message, { cause, isRetryable: /^application\/json\b/i.test(type) });
  }
  const wrong = wrongMembers(value, members);
  if (wrong.length === 0) return value;
  throw unexpected(response, `Expected an answer of the service; it has no proper ${wrong}.`);
}

/** Returns the names of the members that are missing, or something else. */
export function wrongMembers(value: unknown, members: Members): string[] {
  const has = ([name, kind]: [string, Member]) => {
    const member = isObject(value) ? value[name] : undefined;
    if (kind === 'text') return typeof member === 'string';
    return kind === 'object' ? isObject(member) : Array.isArray(member) && member.every(isObject);
  };
  return Object.entries(members).flatMap((member) => (has(member) ? [] : [member[0]]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The answer of something that is not the service, or not this version of it. */
export function unexpected(
  response: Response,
  message: string,
  more?: { cause?: unknown; isRetryable?: boolean },
): ScorelineError {
  return answerUnexpected(`${message} Is the url of the client that of the service?`, {
    status: response.status,
    requestId: response.headers.get('X-Request-Id') ?? undefined,
    ...more,
  });
}

function makeFields(fields: Fields): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    // Plain JavaScript may give null for what is unset.
    if (value !== undefined && value !== null) headers.set(name, value);
  }
  return headers;
}

function readBase(url: string | URL): URL {
  // On a web page, the address may be relative to that of the page.
  const page = (globalThis as { location?: { href?: string } }).location?.href;
  let base: URL;
  try {
    base = new URL(url, page);
  } catch {
    throw misuse('url to be the address of the service, as https://scoring.example.com', url);
  }
  if (!/^https?:$/.test(base.protocol)) throw misuse('url to begin with http(s)://', base.protocol);
  if (base.username !== '' || base.password !== '') {
    throw new TypeError('Expected a url without a user and a password; give the client a key.');
  }
  if (base.search !== '' || base.hash !== '') {
    throw new TypeError('Expected a url without ? and #; got one with them.');
  }
  base.pathname = base.pathname.replace(/\/+$/, '');
  return base;
}

/** The text of the error leaves the key out. */
function checkKey(key: string): string {
  if (typeof key === 'string' && /^[!-~]+$/.test(key)) return key;
  throw new TypeError(
    'Expected key to be an API key or a token, of printable ASCII without blanks; got something else.',
  );
}

function addressOf(base: URL, { path, query = {} }: Asked): URL {
  const address = new URL(base);
  address.pathname = [base.pathname.replace(/\/$/, ''), ...path.map(encodeSegment)].join('/');
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) address.searchParams.set(name, String(value));
  }
  return address;
}

function encodeSegment(text: string): string {
  // The platform takes these for steps in the path, and has no bytes for half a character.
  const isName = typeof text === 'string' && !/^\.{0,2}$|\p{Surrogate}/u.test(text);
  if (isName) return encodeURIComponent(text);
  throw misuse('the name of a model, a version or a job', text);
}

async function errorOf(response: Response, base: URL, sentId: string): Promise<ScorelineError> {
  const { status, headers } = response;
  if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
    const to = headers.get('Location') ?? 'another address';
    await response.body?.cancel();
    return unexpected(response, `Expected the service at ${base}; it redirects to ${to}.`);
  }
  const text = await response.text();
  const requestId = headers.get('X-Request-Id') ?? sentId;
  const retryAfterMs = readRetryAfter(headers.get('Retry-After'));
  const problem = readProblem(text);
  if (!problem) {
    return new ScorelineError(
      `Expected an answer of the service; got status ${status} from something else, such as a proxy: ${JSON.stringify(text.slice(0, 200))}.`,
      {
        ...{ code: 'answer_unexpected', status, requestId, retryAfterMs },
        // A proxy that has lost its connection to the service says so in words of its own.
        isRetryable: [429, 502, 503, 504].includes(status),
      },
    );
  }
  const { code, detail } = problem;
  const isRetryable = status === 429 || status === 503;
  return new ScorelineError(detail, {
    ...{ code, status, problem, requestId, retryAfterMs, isRetryable },
  });
}

/** Reads a problem document, or the error of the Open Inference Protocol. */
function readProblem(text: string): Problem | undefined {
  try {
    const { type, title, status, code, detail, error } = JSON.parse(text);
    const told = detail ?? error;
    if (typeof code !== 'string' || typeof told !== 'string') return undefined;
    return {
      type: type ?? `urn:scoreline:error:${code}`,
      title: title ?? code.replaceAll('_', ' '),
      ...{ status, code, detail: told },
    };
  } catch {
    return undefined;
  }
}

/** Reads seconds or a date. */
export function readRetryAfter(text: string | null): number | undefined {
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

/** A browser does not say why. Deno has a `location`, too, without a value. */
const hint =
  (globalThis as { location?: unknown }).location !== undefined
    ? ' If the page is of another origin, CORS_ORIGINS of the service must name that.'
    : '';

function connectionFailed(base: URL, requestId: string, cause: unknown): ScorelineError {
  return new ScorelineError(
    `Expected an answer from ${base}; the connection failed${reasonOf(cause)}.${hint}`,
    { code: 'connection_failed', requestId, isRetryable: true, cause },
  );
}

function reasonOf(thrown: unknown): string {
  const { cause, code } = (thrown ?? {}) as {
    cause?: { code?: unknown; message?: unknown };
    code?: unknown;
  };
  // Bun has the code in the error itself.
  const reason = cause?.code ?? cause?.message ?? code;
  return typeof reason === 'string' ? ` (${reason})` : '';
}
