// The requests of the client, and how their answers are read.

import type { InferResponse } from './answers.js';
import { misuse } from './errors.js';
import { parseNumbers } from './exact-numbers.js';
import { type Asked, type Members, parseJson, unexpected } from './exchange.js';
import { bodyOf, type Input } from './inputs.js';
import {
  type Inference,
  idOf,
  inferenceMembers,
  type Job,
  type JobRef,
  readInference,
  readJob,
} from './job.js';
import { randomId } from './random-id.js';
import { encodeRequest, type TensorRequest } from './tensors.js';

export interface ScoringOptions {
  /** The version of the model; the first that is served, if unset. */
  readonly version?: string | undefined;
  /** How long the service may take, in milliseconds. The deadline of the model counts, too. */
  readonly deadlineMs?: number | undefined;
  /**
   * Names the request, so a repeat gets the same result. If unset, the client makes a random one. `false` leaves it
   * out: then the service need not keep the result, and an attempt whose connection was lost may be scored twice.
   */
  readonly idempotencyKey?: string | false | undefined;
  /** `bulk` lets interactive requests pass; `interactive` if unset. */
  readonly priority?: 'interactive' | 'bulk' | undefined;
}

export interface SubmitOptions {
  /** The address that is told when the job has ended. Its host must be in the service's WEBHOOK_HOSTS. */
  readonly webhookUrl?: string | undefined;
}

export interface ScoreOptions extends ScoringOptions {
  /** How many of the best classes to answer with. If unset, the manifest of the model decides. */
  readonly top?: number | undefined;
}

/** How many bytes of a body are JSON, before the data of tensors. */
const jsonBytesHeader = 'Inference-Header-Content-Length';

export function askScore(model: string, input: Input, options: ScoreOptions): Asked {
  const { body, headers } = bodyOf(input);
  const { deadlineMs, top } = options;
  return {
    method: 'POST',
    path: ['v1', 'models', ...modelPath(model, options), 'score'],
    query: { top, deadlineMs },
    headers: { ...headers, ...headersOf(options) },
    body,
  };
}

export function askInfer(model: string, request: TensorRequest, options: ScoringOptions): Asked {
  const { body, jsonBytes } = encodeRequest(request);
  return {
    method: 'POST',
    path: ['v2', 'models', ...modelPath(model, options), 'infer'],
    query: { deadlineMs: options.deadlineMs },
    headers: {
      'Content-Type': 'application/octet-stream',
      [jsonBytesHeader]: String(jsonBytes),
      ...headersOf(options),
    },
    body,
  };
}

export function askJob(job: JobRef<unknown>, ...more: string[]): Asked {
  return { method: 'GET', path: ['v1', 'jobs', idOf(job), ...more] };
}

function modelPath(model: string, { version }: ScoringOptions): string[] {
  return version === undefined || version === null ? [model] : [model, 'versions', version];
}

function headersOf({ idempotencyKey, priority }: ScoringOptions): Asked['headers'] {
  return {
    // JavaScript may give null for what is unset. As a text, it would be one key for all calls.
    ...(idempotencyKey !== false && { 'Idempotency-Key': checkKey(idempotencyKey ?? randomId()) }),
    'X-Priority': priority,
  };
}

/** fetch takes blanks off the ends, and the service takes quotes off, so another key would be meant. */
function checkKey(key: string): string {
  const form = /^(?:"[ -~]{1,255}"|(?![ "])[ -~]{1,255}(?<![ "]))$/;
  if (typeof key === 'string' && form.test(key)) return key;
  throw misuse(
    'idempotencyKey to be 1 to 255 characters of printable ASCII, without a blank or a quote at either end',
    key,
  );
}

/** Reads an answer in JSON that is an object with these members at least. */
export function readJson<T>(members: Members) {
  return async (response: Response): Promise<T> =>
    parseJson(response, await response.arrayBuffer(), {
      parse: JSON.parse as (text: string) => T,
      members,
    });
}

export async function readScore<S>(response: Response): Promise<S> {
  const parse = parseNumbers<S>;
  const members = { model: 'text', version: 'text', predictions: 'objects' } as const;
  return parseJson(response, await response.arrayBuffer(), { parse, members });
}

export async function readJobOf<Result>(response: Response): Promise<Job<Result>> {
  const parse = readJob<Result>;
  return parseJson(response, await response.arrayBuffer(), { parse, members: {} });
}

/** Reads tensors in JSON, with the data of binary ones behind it. */
export async function readTensors(response: Response): Promise<Inference> {
  const body = new Uint8Array(await response.arrayBuffer());
  const jsonBytes = Number(response.headers.get(jsonBytesHeader) ?? body.length);
  const parse = JSON.parse as (text: string) => InferResponse;
  const json = body.subarray(0, jsonBytes);
  const answer = parseJson(response, json, { parse, members: inferenceMembers });
  return readInference(answer, body.subarray(jsonBytes));
}

/** Returns the answer with its stream, which nobody has read yet. */
export async function readStream(response: Response): Promise<Response> {
  const type = response.headers.get('Content-Type') ?? '';
  if (response.status === 204 || type.startsWith('text/event-stream')) return response;
  throw unexpected(response, `Expected server-sent events; got ${type}.`);
}
