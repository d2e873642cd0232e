// Load on a model through the real path: clients, API, Redis and a worker, each a process of this machine.

import { runLoad } from '../../bench/load.js';
import { startBenchService } from '../../bench/service.js';
import type { Model } from '../../shared/registry/models.js';
import { wrong } from '../faults.js';
import { exampleRequest } from './request.js';

/** The answers that a number of clients got, each of which asks again once it is answered. */
export interface Level {
  readonly clients: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 200, such as refusals under overload. */
  readonly refused: number;
}

export interface LoadedService {
  measure(clients: number, seconds: number): Promise<Level>;
  close(): Promise<void>;
}

/** Before each measurement, as a share of it. */
const warmUpShare = 0.2;

/**
 * Starts a service with one model.
 * @param directory the folder that has the model's folder
 * @throws ScorelineError `configuration_invalid` if the model does not answer
 */
export async function startLoaded(
  model: Model,
  { directory, workers = 1 }: { directory: string; workers?: number },
): Promise<LoadedService> {
  const { pathname, body, headers } = exampleRequest(model);
  const service = await startBenchService({
    models: model.name,
    modelsDirectory: directory,
    roles: ['api', ...new Array<'worker'>(workers).fill('worker')],
    environment: {
      AUTH: 'none',
      HOST: '127.0.0.1',
      METRICS_PORT: '',
      GRPC_PORT: '',
      PROBE_PORT: '',
    },
  });
  const url = `${service.url}${pathname}`;
  const load = (clients: number, seconds: number) =>
    runLoad({ url, clients, seconds, bodies: [body], headers, isRight: () => true });
  try {
    await refuseFaulty(model, url, { body, headers });
  } catch (thrown) {
    await service.close();
    throw thrown;
  }
  return {
    measure: async (clients, seconds) => {
      await load(clients, seconds * warmUpShare);
      const { perSecond, medianMs, p99Ms, wrong: refused } = await load(clients, seconds);
      return { clients, perSecond, p50Ms: medianMs, p99Ms, refused };
    },
    close: () => service.close(),
  };
}

/** Refusals under load are counted; a model that does not answer one request cannot be measured. */
async function refuseFaulty(
  { name, manifest: { example } }: Model,
  url: string,
  { body, headers }: { body: string | Buffer; headers: Readonly<Record<string, string>> },
): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: body as string,
  });
  const text = await response.text();
  if (response.ok) return;
  const asked = example ? 'its example' : 'a sample, since its manifest has no example';
  const remedy = example ? '' : '. Give it one that the model takes';
  throw wrong(
    `${name}: expected an answer to ${asked}; got ${response.status}: ${text.slice(0, 300)}${remedy}`,
  );
}

/** The row of a table. */
export function showLevel({ clients, perSecond, p50Ms, p99Ms, refused }: Level) {
  return {
    clients,
    'requests/s': perSecond.toFixed(1),
    'p50 ms': p50Ms.toFixed(1),
    'p99 ms': p99Ms.toFixed(1),
    refused,
  };
}
