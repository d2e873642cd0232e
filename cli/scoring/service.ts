// The service as `npm run score` sees it: which model it has, and what it answers to one input.
//
// A refusal for now, an overload or a restart, is met with the patience of the client (client/retries.ts). Nobody waits
// for the answers, so the command also sends an input again whose deadline has passed.
//
// Lines go in streams of several, once. Lines that a stream leaves without an answer, or whose problem may pass, get a
// request each, with all patience.

import { type Call, openCall } from '../../client/call.js';
import { ScorelineError as CallFailed } from '../../client/errors.js';
import { type Asked, type Exchange, makeExchange, parseJson } from '../../client/exchange.js';
import { coerceError, errorTable, type ScorelineError } from '../../shared/errors.js';
import { describeFetchFailure } from '../../shared/fetch-failure.js';
import { absentAdvice } from '../addresses.js';
import { wrong } from '../faults.js';
import type { Answering } from './answers.js';
import { parseAsWritten, writeAsWritten } from './as-written.js';
import type { CommandInput, InputKind } from './inputs.js';
import { splitLines } from './lines.js';

/** How much longer than its deadline a request may take before its connection counts as broken. */
const spareMs = 30_000;

export interface ServiceOptions {
  /** The address of the service. */
  readonly url: string;
  /** An API key or an access token. */
  readonly key: string | undefined;
  readonly model: string;
  /** How many of the best classes to answer with. */
  readonly top: string | undefined;
  /** How many inputs may be in flight. */
  readonly concurrency: number;
  /** How often an input is sent at most. */
  readonly triesMax: number;
}

/**
 * The answer to an input: that of the native contract, with its numbers as `parseAsWritten` leaves them, or `{problem}`.
 */
export type CommandAnswer = Readonly<Record<string, unknown>>;

export type Deliver = (input: CommandInput, answer: CommandAnswer) => Promise<void>;

/** A version of a model, as the service lists it. */
interface ServedModel {
  readonly name: string;
  readonly version: string;
  readonly traffic: { readonly share: number };
  readonly input: { readonly kind: string };
  readonly deadlineMs: number;
}

interface Catalogue {
  /** How many requests of this caller may be in flight. */
  readonly concurrencyMax: number;
  readonly models: unknown;
}

export class Service {
  /** How many inputs may be in flight: no more than the service allows this caller. */
  readonly concurrency: number;
  readonly model: Answering;
  /** The kind of input that the model takes. */
  readonly inputKind: string;
  readonly #options: ServiceOptions;
  readonly #exchange: Exchange;
  readonly #answerMsMax: number;

  /**
   * Asks the service for its model. An address at which nothing answers is most likely wrong, so it is tried once.
   * @throws ScorelineError `configuration_invalid` if there is no service, no such model, no access, or the model
   * takes something else
   */
  static async open(options: ServiceOptions, kind: InputKind): Promise<Service> {
    const exchange = openExchange(options);
    const asked: Asked = { method: 'GET', path: ['v1', 'models'] };
    const found = await withCall(onceAnswered(exchange), options.triesMax, (call) =>
      call.ask(asked, readCatalogue),
    ).catch((thrown) => {
      throw whyNotOpen(options, thrown);
    });
    const { concurrencyMax } = found;
    if (!Array.isArray(found.models)) throw noService(options, 200);
    const models = found.models as readonly ServedModel[];
    const versions = models.filter(({ name }) => name === options.model);
    const model = versions[0];
    if (!model) {
      const names = models.map(({ name }) => name).join(', ') || 'none';
      throw wrong(
        `Expected a model that is served at ${options.url}: ${names}; got ${options.model}.`,
      );
    }
    checkKind(model, kind);
    const shared = versions.filter(({ traffic }) => traffic.share > 0);
    const current = shared.length > 0 ? shared : versions;
    return new Service({
      ...{ options, exchange, concurrencyMax },
      model: { name: model.name, versions: current.map(({ version }) => version) },
      inputKind: model.input.kind,
      answerMsMax: Math.max(...current.map(({ deadlineMs }) => deadlineMs)) + spareMs,
    });
  }

  private constructor(parts: {
    options: ServiceOptions;
    exchange: Exchange;
    model: Answering;
    inputKind: string;
    concurrencyMax: number;
    answerMsMax: number;
  }) {
    const { options, exchange, model, inputKind, concurrencyMax, answerMsMax } = parts;
    this.model = model;
    this.inputKind = inputKind;
    this.concurrency = Math.min(options.concurrency, concurrencyMax);
    this.#options = options;
    this.#exchange = exchange;
    this.#answerMsMax = answerMsMax;
  }

  /**
   * Scores inputs, and delivers the answer to each as soon as it is there.
   * @throws ScorelineError `configuration_invalid` if the service lets nobody in any more, or cannot be reached
   */
  async scoreGroup(inputs: readonly CommandInput[], deliver: Deliver): Promise<void> {
    const rest = inputs.length === 1 ? inputs : await this.#stream(inputs, deliver);
    await Promise.all(rest.map(async (input) => deliver(input, await this.score(input))));
  }

  /** Sends lines in one request. Returns those that are to be sent again. */
  async #stream(
    inputs: readonly CommandInput[],
    deliver: Deliver,
  ): Promise<readonly CommandInput[]> {
    const rest = new Map(inputs.entries());
    const delivered: Promise<unknown>[] = [];
    let isOpen = true;
    const read = async ({ body }: Response) => {
      if (!body) return;
      for await (const line of splitLines(body)) {
        const { index, ...answer } = parseAsWritten(line.toString('utf8')) as CommandAnswer;
        const place = Number(writeAsWritten(index ?? -1));
        const input = rest.get(place);
        if (!isOpen || !input || !isFinal(answer)) continue;
        rest.delete(place);
        // A fault of the file is none of the connection.
        delivered.push(deliver(input, answer).catch((fault) => ({ fault })));
      }
    };
    const asked = this.#asked('application/x-ndjson', inputs.map(({ body }) => body).join('\n'));
    await withCall(this.#exchange, 1, (call) => call.ask(asked, read)).catch((thrown) => {
      if (!(thrown instanceof CallFailed)) throw thrown;
    });
    isOpen = false;
    for (const found of await Promise.all(delivered)) {
      if (found) throw (found as { fault: unknown }).fault;
    }
    return [...rest.values()];
  }

  /**
   * Scores an input.
   * @throws ScorelineError `configuration_invalid` if the service lets nobody in any more, or cannot be reached
   */
  async score({ body, contentType }: CommandInput): Promise<CommandAnswer> {
    const { triesMax } = this.#options;
    const asked = this.#asked(contentType, typeof body === 'string' ? withoutId(body) : body);
    try {
      return await withCall(this.#exchange, triesMax, (call) => call.ask(asked, readAnswer));
    } catch (thrown) {
      if (!(thrown instanceof CallFailed)) throw thrown;
      if (thrown.code === 'connection_failed') throw unreachable(this.#options, thrown);
      if (isOver(thrown)) throw refused(this.#options, thrown);
      const { problem, status, code, message } = thrown;
      return { problem: problem ?? { status, code, title: message } };
    }
  }

  #asked(contentType: string, body: string | Buffer): Asked {
    const { model, top } = this.#options;
    return {
      method: 'POST',
      path: ['v1', 'models', model, 'score'],
      query: { top },
      headers: { 'Content-Type': contentType, 'X-Priority': 'bulk' },
      body,
      answerMsMax: this.#answerMsMax,
    };
  }
}

/** A line of a stream has an id. A request of its own has no such field, and the answer gets the id here. */
function withoutId(line: string): string {
  const { id, ...others } = parseAsWritten(line) as Readonly<Record<string, unknown>>;
  return id === undefined ? line : writeAsWritten(others);
}

async function withCall<T>(
  exchange: Exchange,
  triesMax: number,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  const call = openCall(exchange, { retries: triesMax - 1 });
  try {
    return await work(call);
  } finally {
    call.close();
  }
}

/** @throws ScorelineError `configuration_invalid` if the address or the key cannot be one */
function openExchange({ url, key }: ServiceOptions): Exchange {
  let exchange: Exchange;
  try {
    exchange = makeExchange({ url, key });
  } catch (thrown) {
    throw wrong(`--url, --key: ${coerceError(thrown).message}`);
  }
  return (...parameters) =>
    exchange(...parameters).catch((thrown) => {
      throw thrown instanceof CallFailed && mayBeTriedAgain(thrown)
        ? withRetry(thrown, true)
        : thrown;
    });
}

/** Whether the same input may be answered later, although the client would not wait for that. */
function mayBeTriedAgain({ code, isRetryable }: CallFailed): boolean {
  return !isRetryable && isRetried(code);
}

function isRetried(code: unknown): boolean {
  if (typeof code !== 'string' || !Object.hasOwn(errorTable, code)) return false;
  return errorTable[code as keyof typeof errorTable].retry;
}

/** Whether a request with this input alone would get the same answer, and be about the input alone. */
function isFinal({ problem }: CommandAnswer): boolean {
  if (problem === undefined) return true;
  const { code, status } = problem as { code: string; status: unknown };
  return !isRetried(code) && !isOver({ code, status: Number(writeAsWritten(status ?? 0)) });
}

/** Tries a connection that fails again only if the service has answered before. */
function onceAnswered(exchange: Exchange): Exchange {
  let hasAnswered = false;
  return (...parameters) =>
    exchange(...parameters).catch((thrown) => {
      if (!(thrown instanceof CallFailed)) throw thrown;
      hasAnswered ||= thrown.status !== undefined;
      throw hasAnswered ? thrown : withRetry(thrown, false);
    });
}

function withRetry(error: CallFailed, isRetryable: boolean): CallFailed {
  // A spread leaves out the cause of an error.
  return new CallFailed(error.message, { ...error, cause: error.cause, isRetryable });
}

async function readCatalogue(response: Response): Promise<Catalogue> {
  const parse = JSON.parse as (text: string) => { readonly models: unknown };
  const { models } = parseJson(response, await response.arrayBuffer(), {
    parse,
    members: { models: 'objects' },
  });
  return { concurrencyMax: concurrencyIn(response.headers.get('ratelimit-policy') ?? ''), models };
}

/** While a service restarts, a gateway may answer in its place. So answers of another form are asked for again. */
async function readAnswer(response: Response): Promise<CommandAnswer> {
  const parse = parseAsWritten as (text: string) => CommandAnswer;
  const members = { model: 'text', version: 'text', predictions: 'objects' } as const;
  try {
    return parseJson(response, await response.arrayBuffer(), { parse, members });
  } catch (thrown) {
    throw thrown instanceof CallFailed ? withRetry(thrown, true) : thrown;
  }
}

/** @throws ScorelineError `configuration_invalid` if the model takes something else */
function checkKind({ name, input }: ServedModel, kind: InputKind): void {
  if (input.kind === 'tensors') {
    throw wrong(
      `Expected a model that takes single inputs; ${name} takes tensors. Send them to /v2/models/${name}/infer.`,
    );
  }
  if (kind === 'lines' || input.kind === 'image' || input.kind === 'file') return;
  throw wrong(
    `Expected a file with a JSON object in each line, since ${name} takes neither pictures nor other files (its kind of input is ${input.kind}); got a folder.`,
  );
}

/** Whether an answer is about who asks, or for which model, so that all further ones would be the same. */
function isOver({ status, code }: Pick<CallFailed, 'status' | 'code'>): boolean {
  return status === 401 || status === 403 || code === 'model_not_found';
}

/** Reads the limit of requests in flight, as in `"concurrency";q=8`. */
function concurrencyIn(policy: string): number {
  const [, count] = /"concurrency"[^,]*;q=(\d+)/.exec(policy) ?? [];
  return count === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Number(count));
}

function whyNotOpen(options: ServiceOptions, thrown: unknown): unknown {
  if (!(thrown instanceof CallFailed)) return thrown;
  const { code, status } = thrown;
  if (code === 'connection_failed') {
    return wrong(
      `Expected a service at ${options.url}; got: ${describeFetchFailure(thrown.cause)}. ${absentAdvice}`,
    );
  }
  if (status === 404 || code === 'answer_unexpected') return noService(options, status);
  return refused(options, thrown);
}

function noService({ url }: ServiceOptions, status: number | undefined): ScorelineError {
  return wrong(
    `Expected the address of a Scoreline service, as in http://localhost:8080; got ${url}, where /v1/models answers with the status ${status} and no list of models. See --url.`,
  );
}

function refused({ url }: ServiceOptions, { status, code, message }: CallFailed): ScorelineError {
  const key = ' Give a key with --key, or in the environment variable SCORELINE_KEY.';
  if (status === 401) return wrong(`${url} lets nobody in with this: ${message}${key}`);
  if (status === 403) return wrong(`${url} lets nobody in with this: ${message}`);
  if (code === 'model_not_found') return wrong(`${url} has the model no more: ${message}`);
  return wrong(`Expected a service at ${url} that lists its models; got: ${message}`);
}

function unreachable({ url, triesMax }: ServiceOptions, { cause }: CallFailed): ScorelineError {
  return wrong(`${url} could not be reached in ${triesMax} tries: ${describeFetchFailure(cause)}.`);
}
