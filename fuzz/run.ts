// Runs the fuzz: clients send mutated requests, two more send good ones, and every answer is judged.
//
// - warm-up: a tenth of the requests, and half of a short run. Afterwards, memory and descriptors of API and worker are read.
// - main part: the rest.
// - afterwards: no load. Memory and descriptors come back near their level, nothing is left in Redis, the
//   processes are those of the start, the logs are in order, and each model answers rightly once more.

import { modelNames, prepareCatalogue } from '../chaos/catalogue.js';
import { nativeContract } from '../chaos/contracts.js';
import { makeFailures } from './failures.js';
import { makeGoodLoad } from './good-load.js';
import { makeMutatedLoad } from './load.js';
import { makeOriginals } from './originals.js';
import { modelsDirectory, startFuzzService } from './service.js';
import { makeShots } from './shots.js';
import type { Summary } from './tally.js';
import { watchVitals } from './vitals.js';

export interface FuzzOptions {
  readonly seed: number;
  readonly requests: number;
  /** Ends the run even if not all requests were sent. */
  readonly seconds: number;
  readonly clients: number;
  /** For logs, and for the requests that failed. */
  readonly directory: string;
  readonly say: (line: string) => void;
}

const deadlineMs = 20_000;
const goodClients = 2;
/** V8, ONNX Runtime and the image library have taken most of their memory after so many requests. */
const warmUpRequests = 5000;
const progressEveryMs = 15_000;

export async function fuzz(options: FuzzOptions): Promise<Summary> {
  const { seed, requests, seconds, say } = options;
  const startedAt = performance.now();
  const elapsedSeconds = () => Math.round((performance.now() - startedAt) / 1000);
  const service = await startFuzzService(options.directory, modelNames);
  const { address, callers, roles } = service;
  const contract = nativeContract({ 'X-API-Key': callers.score });
  const catalogue = await prepareCatalogue({ modelsDirectory, deadlineMs, contract });
  const shots = makeShots(await makeOriginals(callers), callers);
  const failures = makeFailures(options);
  const isTimeOver = () => elapsedSeconds() >= seconds;
  const mutated = makeMutatedLoad({ ...options, service, shots, failures, isTimeOver });
  const good = makeGoodLoad({ ...options, catalogue, address });
  const vitals = watchVitals({ api: roles.api.pid, worker: roles.worker.pid });
  const progress = setInterval(
    () => say(`${elapsedSeconds()} s  ${mutated.tally.sent} sent`),
    progressEveryMs,
  );

  good.start(goodClients);
  await mutated.sendUntil(Math.max(requests / 10, Math.min(requests / 2, warmUpRequests)));
  vitals.begin();
  await mutated.sendUntil(requests);
  clearInterval(progress);
  await good.close();
  const illness = [
    ...(await vitals.findFaults()),
    ...(await service.findIllness(catalogue.queues)),
    ...(await service.close()),
  ];
  for (const reason of illness) say(`NOT WELL: ${reason}`);
  return {
    seed,
    seconds: elapsedSeconds(),
    ...mutated.tally.summarize(),
    ...good.summarize(),
    ...vitals.levels(),
    failures: failures.count,
    well: illness.length === 0,
  };
}
