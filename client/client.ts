// The client of Scoreline for TypeScript and JavaScript. It needs nothing but `fetch`, so it runs in browsers and in
// Node 20 and later.
//
//   const client = new ScorelineClient({ url: 'https://scoring.example.com', key });
//   const { predictions } = await client.score('faq-matcher', 'copy an object');
//
// Each call has one time limit, and ends at once when its signal aborts. Failures that may pass are retried (retries.ts). A
// call that scores sends the same new `Idempotency-Key` with each attempt, so its input is scored once.

import type { JobSummary, Jobs, Models } from './answers.js';
import { type Call, type CallOptions, openCall } from './call.js';
import { type Asked, type Exchange, makeExchange, type SiteOptions } from './exchange.js';
import { followJob, type JobEvent } from './following.js';
import type { Input } from './inputs.js';
import {
  type Inference,
  isPending,
  type Job,
  type JobRef,
  type SubmittedJob,
  type SucceededJob,
  succeededOf,
} from './job.js';
import { sleep } from './limit.js';
import {
  askInfer,
  askJob,
  askScore,
  readJobOf,
  readJson,
  readScore,
  readStream,
  readTensors,
  type ScoreOptions,
  type ScoringOptions,
  type SubmitOptions,
} from './requests.js';
import type { Prediction, Score } from './score.js';
import type { TensorRequest } from './tensors.js';

export type { JobSummary, Jobs, Models, Problem } from './answers.js';
export type { CallOptions } from './call.js';
export { type ClientErrorCode, ScorelineError } from './errors.js';
export type { JobEvent } from './following.js';
export type { Bytes, Input, Json, Row } from './inputs.js';
export type { Inference, Job, JobRef, SubmittedJob, SucceededJob } from './job.js';
export type { ScoreOptions, ScoringOptions, SubmitOptions } from './requests.js';
export type {
  ClassPrediction,
  EmbeddingPrediction,
  JsonPrediction,
  NumberPrediction,
  Prediction,
  Score,
} from './score.js';
export type { Datatype, OutputTensor, Tensor, TensorData, TensorRequest } from './tensors.js';

export interface ClientOptions extends SiteOptions {
  /** The most time that a call may take, with all attempts, in milliseconds; 60,000 if unset. */
  readonly timeoutMs?: number | undefined;
  /** How often a request is tried again at most; 10 if unset. */
  readonly retries?: number | undefined;
}

export interface JobsOptions extends CallOptions {
  readonly state?: JobSummary['state'] | undefined;
  readonly model?: string | undefined;
  /** The most jobs on the page. */
  readonly limit?: number | undefined;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
}

const timeoutMsDefault = 60_000;
/** How long one request waits for the end of a job. Many proxies end requests that are quiet for a minute. */
const waitMsMax = 20_000;
/** How late the answer of such a request may be. A machine that is gone never closes its connection. */
const lateMsMax = 30_000;
/** The pause before a job is asked for again when the service did not wait, as when it shuts down. */
const askAgainMs = 1000;

/** Jobs may take hours, so waiting for them has no limit unless the caller sets one. */
const jobTimeoutMs = Number.POSITIVE_INFINITY;

export class ScorelineClient {
  readonly #exchange: Exchange;
  readonly #timeoutMs: number;
  readonly #retries: number | undefined;

  constructor(options: ClientOptions) {
    const { timeoutMs, retries } = options;
    this.#exchange = makeExchange(options);
    this.#timeoutMs = timeoutMs ?? timeoutMsDefault;
    this.#retries = retries;
  }

  /** Scores one input: a text, the bytes of a picture or another file, a row of a table, or JSON. */
  async score<P extends Prediction = Prediction>(
    model: string,
    input: Input,
    options: ScoreOptions & CallOptions = {},
  ): Promise<Score<P>> {
    const asked = { ...askScore(model, input, options), isAwaited: true };
    return this.#call(options, (call) => call.ask(asked, readScore<Score<P>>));
  }

  /** Sends tensors to the network of a model, by the Open Inference Protocol. */
  async infer(
    model: string,
    request: TensorRequest,
    options: ScoringOptions & CallOptions = {},
  ): Promise<Inference> {
    const asked = { ...askInfer(model, request, options), isAwaited: true };
    return this.#call(options, (call) => call.ask(asked, readTensors));
  }

  /** Submits an input that is scored later. It may have hours (`deadlineMs`). */
  async submit<P extends Prediction = Prediction>(
    model: string,
    input: Input,
    options: ScoreOptions & SubmitOptions & CallOptions = {},
  ): Promise<SubmittedJob<Score<P>>> {
    return this.#submit(askScore(model, input, options), options);
  }

  /** Submits tensors that are scored later. */
  async submitTensors(
    model: string,
    request: TensorRequest,
    options: ScoringOptions & SubmitOptions & CallOptions = {},
  ): Promise<SubmittedJob<Inference>> {
    return this.#submit(askInfer(model, request, options), options);
  }

  /** Reads a job as it is now. */
  async job<Result = Score | Inference>(
    job: JobRef<Result>,
    options: CallOptions = {},
  ): Promise<Job<Result>> {
    return this.#call(options, (call) => call.ask(askJob(job), readJobOf<Result>));
  }

  /**
   * Waits until a job has succeeded.
   * @throws ScorelineError the problem of a job that failed or was cancelled, or `job_expired`
   */
  async wait<Result = Score | Inference>(
    job: JobRef<Result>,
    options: CallOptions = {},
  ): Promise<SucceededJob<Result>> {
    const waitForEnd = async (call: Call) => {
      for (;;) {
        const startedAt = performance.now();
        const waitMs = Math.min(waitMsMax, call.limit.remainingMs());
        const headers = { Prefer: `wait=${Math.ceil(waitMs / 1000)}` };
        const answerMsMax = waitMs + lateMsMax;
        const found = await call.ask({ ...askJob(job), headers, answerMsMax }, readJobOf<Result>);
        if (!isPending(found)) return succeededOf(found, call.requestId);
        const hasWaited = performance.now() - startedAt > waitMs / 2;
        if (!hasWaited) await sleep(askAgainMs, call.limit.signal);
      }
    };
    return this.#call(options, waitForEnd, jobTimeoutMs);
  }

  /**
   * Follows a job through its states until it has ended, also through lost connections. A loop that is left ends the
   * connection.
   */
  async *events<Result = Score | Inference>(
    job: JobRef<Result>,
    options: CallOptions & {
      /** The id of an event. Only what came after it is told. */
      readonly lastEventId?: string | undefined;
    } = {},
  ): AsyncGenerator<JobEvent<Result>, void> {
    const call = this.#open(options, jobTimeoutMs);
    const connect = (lastEventId: string | undefined) => {
      const headers = { Accept: 'text/event-stream', 'Last-Event-ID': lastEventId };
      return call.ask({ ...askJob(job, 'events'), headers }, readStream);
    };
    try {
      yield* followJob<Result>(connect, { ...call, lastEventId: options.lastEventId });
    } finally {
      call.close();
    }
  }

  /** Cancels a job. One that has ended stays as it is, which is the error `job_finished`. */
  async cancel<Result = Score | Inference>(
    job: JobRef<Result>,
    options: CallOptions = {},
  ): Promise<Job<Result>> {
    const asked: Asked = { ...askJob(job), method: 'DELETE' };
    return this.#call(options, (call) => call.ask(asked, readJobOf<Result>));
  }

  /** Lists the caller's jobs, a page at a time, the last one first. */
  async jobs(options: JobsOptions = {}): Promise<Jobs> {
    const { state, model, limit, after } = options;
    const query = { state, model, limit, after };
    const asked: Asked = { method: 'GET', path: ['v1', 'jobs'], query };
    return this.#call(options, (call) => call.ask(asked, readJson<Jobs>({ jobs: 'objects' })));
  }

  /** Lists the models that the caller may use. */
  async models(options: CallOptions = {}): Promise<Models> {
    const asked: Asked = { method: 'GET', path: ['v1', 'models'] };
    return this.#call(options, (call) => call.ask(asked, readJson<Models>({ models: 'objects' })));
  }

  #submit<Result>(
    asked: Asked,
    options: SubmitOptions & CallOptions,
  ): Promise<SubmittedJob<Result>> {
    const { webhookUrl } = options;
    const headers = {
      ...asked.headers,
      Prefer: 'respond-async',
      ...(webhookUrl !== undefined && { 'Webhook-Url': webhookUrl }),
    };
    return this.#call(options, (call) =>
      call.ask(
        { ...asked, headers },
        readJson<SubmittedJob<Result>>({ id: 'text', state: 'text' }),
      ),
    );
  }

  #open(options: CallOptions, timeoutMs = this.#timeoutMs): Call {
    return openCall(this.#exchange, {
      ...options,
      timeoutMs: options.timeoutMs ?? timeoutMs,
      retries: options.retries ?? this.#retries,
    });
  }

  async #call<T>(
    options: CallOptions,
    work: (call: Call) => Promise<T>,
    timeoutMs?: number,
  ): Promise<T> {
    const call = this.#open(options, timeoutMs);
    try {
      return await work(call);
    } finally {
      call.close();
    }
  }
}
