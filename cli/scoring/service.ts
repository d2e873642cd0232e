// The service as `npm run score` sees it: which model it has, and what it answers to one input.
//
// A refusal for now, an overload or a restart, is met with patience: the input is sent again after the time that the
// service names, or after a pause that doubles until something is scored. Meanwhile no other input is sent.

import { setTimeout as delay } from 'node:timers/promises';
import { coerceError, errorTable, ScorelineError } from '../../shared/errors.js';
import type { Answering } from './answers.js';
import type { CommandInput, InputKind } from './inputs.js';

const pauseMsMin = 500;
const pauseMsMax = 30_000;
/** How much longer than its deadline a request may take before its connection counts as broken. */
const spareMs = 30_000;

export interface ServiceOptions {
  /** The address of the service. */
  readonly url: string;
  /** An API key, or an access token, which has two dots. */
  readonly key: string | undefined;
  readonly model: string;
  /** How many of the best classes to answer with. */
  readonly top: string | undefined;
  /** How many inputs may be in flight. */
  readonly concurrency: number;
  /** How often an input is sent at most. */
  readonly triesMax: number;
}

/** What an input is answered with: the answer of the native contract, or `{problem}`. */
export type CommandAnswer = Readonly<Record<string, unknown>>;

interface ServedModel extends Answering {
  readonly input: { readonly kind: string };
  readonly deadlineMs: number;
}

interface Exchange {
  readonly status: number;
  readonly retryAfterMs: number;
  /** How many requests of this caller may be in flight. */
  readonly concurrencyMax: number;
  readonly body: CommandAnswer;
}

export class Service {
  /** How many inputs may be in flight: no more than the service allows this caller. */
  readonly concurrency: number;
  readonly model: Answering;
  readonly #options: ServiceOptions;
  readonly #address: URL;
  readonly #timeoutMs: number;
  /** When the next input may be sent, by `performance.now()`. */
  #readyAt = 0;
  /** How many pauses there were since something was scored. */
  #pauses = 0;

  /**
   * Asks the service for its model.
   * @throws ScorelineError `configuration_invalid` if there is no service, no such model, no access, or the model
   * takes something else
   */
  static async open(options: ServiceOptions, kind: InputKind): Promise<Service> {
    const { status, body, concurrencyMax } = await ask(urlOf(options, '/v1/models'), options).catch(
      (thrown) => {
        throw wrong(`Expected a service at ${options.url}; got: ${reasonOf(thrown)}. See --url.`);
      },
    );
    if (status !== 200 || !Array.isArray(body.models)) throw refused(options, { status, body });
    const models = body.models as readonly ServedModel[];
    const model = models.find(({ name }) => name === options.model);
    if (!model) {
      const names = models.map(({ name }) => name).join(', ') || 'none';
      throw wrong(
        `Expected a model that is served at ${options.url}: ${names}; got ${options.model}.`,
      );
    }
    checkKind(model, kind);
    return new Service(options, model, concurrencyMax);
  }

  private constructor(options: ServiceOptions, model: ServedModel, concurrencyMax: number) {
    this.model = model;
    this.concurrency = Math.min(options.concurrency, concurrencyMax);
    this.#options = options;
    this.#timeoutMs = model.deadlineMs + spareMs;
    this.#address = urlOf(options, `/v1/models/${encodeURIComponent(options.model)}/score`);
    if (options.top !== undefined) this.#address.searchParams.set('top', options.top);
  }

  /**
   * Scores an input.
   * @throws ScorelineError `configuration_invalid` if the service lets nobody in any more, or cannot be reached
   */
  async score(input: CommandInput): Promise<CommandAnswer> {
    for (let tries = 1; ; tries++) {
      await this.#ready();
      const isLast = tries >= this.#options.triesMax;
      const answer = await this.#send(input).catch((thrown) => {
        if (isLast) throw unreachable(this.#options, thrown);
        return undefined;
      });
      if (answer?.status === 200) {
        this.#pauses = 0;
        return answer.body;
      }
      if (answer && isOver(answer)) throw refused(this.#options, answer);
      if (answer && (isLast || !mayBeTriedAgain(answer))) return { problem: problemOf(answer) };
      this.#pause(answer?.retryAfterMs ?? 0);
    }
  }

  #send({ body, contentType }: CommandInput): Promise<Exchange> {
    return ask(this.#address, this.#options, {
      method: 'POST',
      body: body as string | Uint8Array<ArrayBuffer>,
      headers: { 'Content-Type': contentType, 'X-Priority': 'bulk' },
      signal: AbortSignal.timeout(this.#timeoutMs),
    });
  }

  async #ready(): Promise<void> {
    for (;;) {
      const waitMs = this.#readyAt - performance.now();
      if (waitMs <= 0) return;
      await delay(waitMs);
    }
  }

  /** Several inputs that are refused at the same time make one pause. */
  #pause(leastMs: number): void {
    const now = performance.now();
    const ms = now < this.#readyAt ? leastMs : Math.max(leastMs, pauseMsOf(++this.#pauses));
    this.#readyAt = Math.max(this.#readyAt, now + ms);
  }
}

async function ask(url: URL, { key }: ServiceOptions, init: RequestInit = {}): Promise<Exchange> {
  const response = await fetch(url, { ...init, headers: { ...accessOf(key), ...init.headers } });
  const text = await response.text();
  return {
    status: response.status,
    retryAfterMs: 1000 * Number(response.headers.get('retry-after') ?? 0) || 0,
    concurrencyMax: concurrencyIn(response.headers.get('ratelimit-policy') ?? ''),
    body: parse(text),
  };
}

function urlOf({ url }: ServiceOptions, target: string): URL {
  try {
    return new URL(`${url.replace(/\/+$/, '')}${target}`);
  } catch {
    throw wrong(`--url: expected an address such as http://localhost:8080; got ${url}`);
  }
}

function accessOf(key: string | undefined): Record<string, string> {
  if (key === undefined) return {};
  return /^[^.]+\.[^.]+\.[^.]+$/.test(key)
    ? { Authorization: `Bearer ${key}` }
    : { 'X-API-Key': key };
}

function parse(text: string): CommandAnswer {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as CommandAnswer) : {};
  } catch {
    return {};
  }
}

/** @throws ScorelineError `configuration_invalid` if the model takes something else */
function checkKind({ name, input }: ServedModel, kind: InputKind): void {
  if (input.kind === 'tensors') {
    throw wrong(
      `Expected a model that takes single inputs; ${name} takes tensors. Send them to /v2/models/${name}/infer.`,
    );
  }
  if (kind === 'lines' || input.kind === 'image') return;
  throw wrong(
    `Expected a file with a JSON object in each line, since ${name} takes no pictures (its kind of input is ${input.kind}); got a folder.`,
  );
}

/** Whether an answer is about who asks, or for which model, so that all further ones would be the same. */
function isOver({ status, body }: Exchange): boolean {
  return status === 401 || status === 403 || body.code === 'model_not_found';
}

function mayBeTriedAgain({ status, body: { code } }: Exchange): boolean {
  if (typeof code === 'string' && Object.hasOwn(errorTable, code)) {
    return errorTable[code as keyof typeof errorTable].retry;
  }
  // Of a proxy on the way
  return status === 429 || status === 502 || status === 503 || status === 504;
}

function problemOf({ status, body }: Exchange): CommandAnswer {
  return body.code === undefined ? { status, title: 'Not an answer of Scoreline' } : body;
}

/** Reads the limit of requests in flight, as in `"concurrency";q=8`. */
function concurrencyIn(policy: string): number {
  const [, count] = /"concurrency"[^,]*;q=(\d+)/.exec(policy) ?? [];
  return count === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Number(count));
}

/** Doubles with each pause. Half of it is random, so several callers do not come back together. */
function pauseMsOf(pauses: number): number {
  const ms = Math.min(pauseMsMin * 2 ** (pauses - 1), pauseMsMax);
  return ms * (0.5 + Math.random() / 2);
}

function refused({ url }: ServiceOptions, { status, body }: Pick<Exchange, 'status' | 'body'>) {
  const reason = typeof body.detail === 'string' ? body.detail : `the status ${status}`;
  const key = ' Give a key with --key, or in the environment variable SCORELINE_KEY.';
  if (status === 401) return wrong(`${url} lets nobody in with this: ${reason}${key}`);
  if (status === 403) return wrong(`${url} lets nobody in with this: ${reason}`);
  if (body.code === 'model_not_found') return wrong(`${url} has the model no more: ${reason}`);
  if (status === 200 || status === 404) {
    return wrong(
      `Expected the address of a Scoreline service, as in http://localhost:8080; got ${url}, where /v1/models answers with the status ${status} and no list of models. See --url.`,
    );
  }
  return wrong(`Expected a service at ${url} that lists its models; got: ${reason}`);
}

function unreachable({ url, triesMax }: ServiceOptions, thrown: unknown): ScorelineError {
  return wrong(`${url} could not be reached in ${triesMax} tries: ${reasonOf(thrown)}.`);
}

/** `fetch` hides the reason in the cause of its error. */
function reasonOf(thrown: unknown): string {
  const { message, cause } = coerceError(thrown);
  const { code, message: inner } = (cause ?? {}) as NodeJS.ErrnoException;
  return code ?? (inner || message);
}

function wrong(message: string): ScorelineError {
  return new ScorelineError('configuration_invalid', message);
}
