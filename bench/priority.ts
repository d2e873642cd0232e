// `npm run bench -- priority [--scenario text|pictures] [--seconds S] [--rounds R] [--rate N] [--clients N]
//   [--flood bulk|interactive]`
//
// Does bulk slow interactive requests down? A caller sends `--rate` questions or pictures a second at random times. A
// flood sends the same kind with `--clients` clients as fast as it gets answers, at the priority `--flood`. Rounds with
// and without the flood take turns; the result is the ratio of the p99 of interactive requests of neighbouring
// rounds. The flood has an API of its own, as it would have one of several behind an entrance; both APIs share the
// queue and its one worker.

import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { reportFloodedRounds, runFloodedRounds } from './flooded-rounds.js';
import { isRanked, runLoad } from './load.js';
import { readOptions } from './options.js';
import { readPhotographs } from './photographs.js';
import { readQuestionBodies } from './questions.js';
import { startBenchService } from './service.js';

/** How often the caller looks which requests are due. A longer step would hide a part of the delay. */
const stepMs = 1;
const warmUpSeconds = 5;

const values = readOptions({
  ...{ scenario: 'text', seconds: 10, rounds: 6, flood: 'bulk' },
  // Those of the scenario, if they are 0.
  ...{ rate: 0, clients: 0 },
});
const { model, bodies, type, ...usual } = readScenario(values.scenario);
const rate = values.rate || usual.rate;
const clients = values.clients || usual.clients;
const pathname = `/v1/models/${model}/score`;
const headers = { 'Content-Type': type };
const service = await startBenchService({
  models: model,
  modelsDirectory: path.join(packageDirectory(), 'models'),
  roles: ['api', 'api', 'worker'],
});
const [port, floodPort] = service.apis.map(({ url }) => Number(new URL(url).port)) as [
  number,
  number,
];

for (const { url } of service.apis) {
  await runLoad({
    ...{ url: url + pathname, bodies, headers, isRight: isRanked },
    ...{ clients: usual.warmUpClients, seconds: warmUpSeconds },
  });
}
const rounds = await runFloodedRounds(
  {
    ...{ port, pathname, bodies, headers, isRight: isRanked, stepMs },
    perSecond: rate,
    seconds: values.seconds,
  },
  {
    ...{ port: floodPort, pathname, clients },
    ...{ headers: { ...headers, 'X-Priority': values.flood }, body: bodies[0] as string | Buffer },
  },
  values.rounds,
);
reportFloodedRounds('priority', 'interactive requests', rounds);
await service.close();
process.exit(0);

function readScenario(name: string) {
  if (name === 'text') {
    return {
      model: 'faq-matcher',
      bodies: readQuestionBodies(),
      type: 'application/json',
      ...{ rate: 100, clients: 64, warmUpClients: 16 },
    };
  }
  if (name === 'pictures') {
    return {
      model: 'efficientnet-lite0',
      bodies: readPhotographs().map(({ bytes }) => bytes),
      type: 'application/octet-stream',
      ...{ rate: 10, clients: 16, warmUpClients: 4 },
    };
  }
  console.error(`--scenario: expected text or pictures; got ${name}`);
  process.exit(1);
}
