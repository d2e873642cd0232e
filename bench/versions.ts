// `npm run bench -- versions [--seconds S] [--rounds R] [--rate N] [--workers W]`
//
// Does a new version slow requests down? A caller sends `--rate` questions a second at random times. In each round
// nothing happens for the first half. At the start of the second half a version comes into the folder and the one
// before it leaves; workers load the new one, the API switches, and the old one is unloaded. The result is the ratio
// of the p99 of both halves. The versions are the same network, so each answer is either right or a failure.

import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { dump } from 'js-yaml';
import { makeTemporary } from '../cli/temporary.js';
import { readManifest } from '../shared/manifest/file.js';
import { packageDirectory } from '../shared/version.js';
import { measureSteady, type Round } from './flooded-rounds.js';
import { isRanked, median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

interface Half extends Round {
  readonly versions: readonly string[];
}

const values = readOptions({
  seconds: 8,
  rounds: 6,
  rate: 100,
  workers: 1,
});
const name = 'faq-matcher';
const pathname = `/v1/models/${name}/score`;
const directory = makeTemporary('versions');
const folderOf = (version: number) => path.join(directory, name, String(version));

addVersion(1);
const service = await startBenchService({
  models: name,
  modelsDirectory: directory,
  roles: ['api', ...Array.from({ length: values.workers }, () => 'worker' as const)],
});
const bodies = readQuestionBodies();
await runLoad({ url: service.url + pathname, clients: 16, seconds: 5, bodies, isRight: isRanked });

const rounds: Readonly<Record<'usual' | 'switching', Half>>[] = [];
for (let round = 0; round < values.rounds; round++) {
  const before = round + 1;
  const usual = await measure();
  const switching = measure();
  addVersion(before + 1);
  rmSync(folderOf(before), { recursive: true });
  rounds.push({ usual, switching: await switching });
}
const of = (side: 'usual' | 'switching', key: 'medianMs' | 'p99Ms' | 'slowestMs') =>
  median(rounds.map((round) => round[side][key]));
report(
  'versions',
  (['usual', 'switching'] as const).map((side) => ({
    side,
    'median ms': of(side, 'medianMs').toFixed(2),
    'p99 ms': of(side, 'p99Ms').toFixed(2),
    'slowest ms': of(side, 'slowestMs').toFixed(1),
    wrong: rounds.reduce((sum, round) => sum + round[side].wrong, 0),
    versions: [...new Set(rounds.flatMap((round) => round[side].versions))].length,
  })),
  {
    p99: median(rounds.map(({ usual, switching }) => switching.p99Ms / usual.p99Ms)),
    median: median(rounds.map(({ usual, switching }) => switching.medianMs / usual.medianMs)),
  },
);
await service.close();
process.exit(0);

/** Writes a version of the model: its own manifest, and links to all else. */
function addVersion(version: number): void {
  const original = path.join(packageDirectory(), 'models', name);
  const hidden = path.join(directory, name, `.${version}`);
  mkdirSync(hidden, { recursive: true });
  const { engine, ...source } = readManifest(original).source;
  for (const file of readdirSync(original)) {
    if (file !== 'model.yaml') symlinkSync(path.join(original, file), path.join(hidden, file));
  }
  const manifest = { ...readManifest(original), version: String(version), engine, source };
  writeFileSync(path.join(hidden, 'model.yaml'), dump(manifest, { skipInvalid: true }));
  renameSync(hidden, folderOf(version));
}

async function measure(): Promise<Half> {
  const versions = new Set<string>();
  const round = await measureSteady({
    ...{ port: Number(new URL(service.url).port), pathname, bodies },
    isRight: (answer) => {
      versions.add(/"version":"(\d+)"/.exec(answer)?.[1] ?? '');
      return isRanked(answer);
    },
    perSecond: values.rate,
    seconds: values.seconds,
  });
  return { ...round, versions: [...versions] };
}
