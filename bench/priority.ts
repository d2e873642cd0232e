// `npm run bench -- priority [--seconds S] [--rounds R] [--rate N] [--clients N] [--flood bulk|interactive]`
//
// Does bulk slow interactive requests down? A caller sends `--rate` questions a second at random times. A
// flood sends questions with `--clients` clients as fast as it gets answers, at the priority `--flood`. Rounds with
// and without the flood take turns; the result is the ratio of the p99 of interactive requests of neighbouring
// rounds. The flood has an API of its own, as it would have one of several behind an entrance; both APIs share the
// queue and its one worker.

import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { packageDirectory } from '../shared/version.js';
import { reportFloodedRounds, runFloodedRounds } from './flooded-rounds.js';
import { runLoad } from './load.js';
import { readQuestions } from './questions.js';
import { startBenchService } from './service.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '6' },
    rate: { type: 'string', default: '100' },
    clients: { type: 'string', default: '64' },
    flood: { type: 'string', default: 'bulk' },
  },
});
const models = 'faq-matcher';
const pathname = `/v1/models/${models}/score`;
const service = await startBenchService({
  models,
  modelsDirectory: path.join(packageDirectory(), 'models'),
  roles: ['api', 'api', 'worker'],
});
const [port, floodPort] = service.apis.map(({ url }) => Number(new URL(url).port)) as [
  number,
  number,
];
const bodies = readQuestions().map((input) => JSON.stringify({ input }));
const isRight = (answer: string) => answer.includes('"predictions":[{"label":');

for (const { url } of service.apis) {
  await runLoad({ url: url + pathname, clients: 16, seconds: 5, bodies, isRight });
}
const rounds = await runFloodedRounds(
  {
    ...{ port, pathname, bodies, isRight },
    perSecond: Number(values.rate),
    seconds: Number(values.seconds),
  },
  {
    ...{ port: floodPort, pathname, clients: Number(values.clients) },
    ...{ headers: { 'X-Priority': values.flood }, body: bodies[0] as string },
  },
  Number(values.rounds),
);
reportFloodedRounds('priority', 'interactive requests', rounds);
await service.close();
process.exit(0);
