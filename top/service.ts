// What `top` reads of a service: the models from GET /v1/models, the metrics of the API instance that answers
// from GET /admin/metrics, and those of further processes from their own ports.

import { z } from 'zod';
import { describeFetchFailure } from '../shared/fetch-failure.js';
import { type Family, parseMetrics } from './exposition.js';

const answerMsMax = 3000;

const modelsSchema = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      workers: z.number(),
      unanswered: z.number().nullable(),
      deadlineMs: z.number(),
    }),
  ),
});

export type ModelState = z.output<typeof modelsSchema>['models'][number];

export interface Process {
  /** The address of its metrics; undefined for the API instance that has answered. */
  readonly address: string | undefined;
  readonly metrics: ReadonlyMap<string, Family> | undefined;
  /** Why there are no metrics. */
  readonly fault?: string;
}

export interface Reading {
  /** Milliseconds of a clock that never goes back. */
  readonly atMs: number;
  readonly models: readonly ModelState[];
  readonly processes: readonly Process[];
}

export interface Source {
  readonly url: string;
  /** An API key or an access token. */
  readonly key: string | undefined;
  /** The addresses of the metrics of further processes. */
  readonly metrics: readonly string[];
}

/** Nothing answers at an address. */
export class Unanswered extends Error {}

/** @throws Error if the models cannot be read, `Unanswered` if nothing answers */
export async function readService({ url, key, metrics }: Source): Promise<Reading> {
  const headers: Record<string, string> =
    key === undefined ? {} : { authorization: `Bearer ${key}` };
  const [models, ...processes] = await Promise.all([
    fetchText(`${url}/v1/models`, headers),
    readProcess(`${url}/admin/metrics`, undefined, headers),
    ...metrics.map((address) => readProcess(address, address, {})),
  ]);
  const parsed = modelsSchema.safeParse(toJson(models));
  if (!parsed.success) throw new Error(`${url}: expected a list of models; got something else`);
  return { atMs: performance.now(), models: parsed.data.models, processes };
}

async function readProcess(
  place: string,
  address: string | undefined,
  headers: Record<string, string>,
): Promise<Process> {
  try {
    return { address, metrics: parseMetrics(await fetchText(place, headers)) };
  } catch (thrown) {
    return { address, metrics: undefined, fault: (thrown as Error).message };
  }
}

/** @throws Error that says what came instead of an answer with 200 */
async function fetchText(place: string, headers: Record<string, string>): Promise<string> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(place, { headers, signal: AbortSignal.timeout(answerMsMax) });
    text = await response.text();
  } catch (thrown) {
    throw new Unanswered(`${place} does not answer: ${describeFetchFailure(thrown)}`);
  }
  if (response.ok) return text;
  const { detail } = (toJson(text) ?? {}) as { detail?: unknown };
  throw new Error(
    `${place} answers ${response.status}${detail === undefined ? '' : `: ${detail}`}`,
  );
}

function toJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
