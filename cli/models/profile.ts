// `npm run models -- profile NAME`: where the time of a run goes, by ONNX Runtime's profiler.

import { type EngineProfile, profileEngine } from '../../bench/engine-profile.js';
import { median } from '../../bench/load.js';
import { wrong } from '../faults.js';
import { toNumber } from '../numbers.js';
import { modelIn } from './copy.js';
import { readExampleOrSample } from './inputs.js';
import { readOptions } from './options.js';

export const profileUsage =
  'profile NAME [--version V] [--batch 1] [--threads N] [--seconds 2] [--json]';

const shown = 10;

interface Part {
  readonly name: string;
  readonly operator: string;
  readonly msPerRun: number;
  readonly share: number;
}

/** @throws ScorelineError */
export async function profileModel(
  parameters: readonly string[],
  { directory, say }: { directory: string; say: (line: string) => void },
): Promise<void> {
  const { name, values } = readOptions(parameters, {
    usage: profileUsage,
    options: {
      version: { type: 'string' },
      batch: { type: 'string', default: '1' },
      threads: { type: 'string' },
      seconds: { type: 'string', default: '2' },
      json: { type: 'boolean', default: false },
    },
  });
  const model = modelIn(directory, name, values.version);
  const { engine, device, batch } = model.manifest;
  if (engine !== 'onnx') throw wrong(`${name}: expected a model with engine: onnx; got ${engine}`);
  const size = toNumber('batch', values.batch, {
    ...{ min: 1, max: batch.max, isWhole: true },
    note: 'batch.max of its manifest',
  });
  const threads =
    values.threads === undefined
      ? device.threads
      : toNumber('threads', values.threads, { min: 0, max: 256, isWhole: true });
  const seconds = toNumber('seconds', values.seconds, { min: 0.01, max: 60 });
  const { inputs } = await readExampleOrSample(model);
  const profile = await profileEngine(model, { item: inputs, batch: size, threads, seconds });
  const nodes = share(profile, ({ node }) => node);
  const slowest = nodes.slice(0, shown);
  const operators = share(profile, ({ operator }) => operator).slice(0, shown);
  const totalMs = sumOf(nodes);
  if (values.json) {
    const { version } = model;
    say(
      JSON.stringify({
        model: name,
        version,
        batch: size,
        threads,
        runs: profile.runs,
        totalMs,
        slowest,
        operators,
      }),
    );
    return;
  }
  say(
    `${name}@${model.version}: ${totalMs.toFixed(2)} ms in operators for a batch of ${size}, medians of ${profile.runs} runs, ${threads === 0 ? 'a thread for each core' : `threads: ${threads}`}`,
  );
  say(`The ${slowest.length} slowest operators:`);
  console.table(
    slowest.map(({ name: node, operator, ...took }) => ({ node, operator, ...row(took) })),
  );
  say('By kind of operator:');
  console.table(operators.map(({ operator, ...took }) => ({ operator, ...row(took) })));
}

function row({ msPerRun, share: part }: Pick<Part, 'msPerRun' | 'share'>) {
  return { 'ms a run': msPerRun.toFixed(3), share: `${(part * 100).toFixed(1)} %` };
}

/**
 * Adds up the runs of nodes by name in each run of the network, the slowest name first. The median of the runs
 * counts, since a run during which the machine does something else says nothing.
 */
function share(
  { runs, nodeRuns }: EngineProfile,
  nameOf: (run: EngineProfile['nodeRuns'][number]) => string,
): Part[] {
  const perRun = nodeRuns.length / runs;
  const sums = new Map<string, { operator: string; tookUs: number[] }>();
  for (const [at, run] of nodeRuns.entries()) {
    const name = nameOf(run);
    const sum = sums.get(name) ?? { operator: run.operator, tookUs: new Array(runs).fill(0) };
    const index = Math.floor(at / perRun);
    sum.tookUs[index] = (sum.tookUs[index] ?? 0) + run.tookUs;
    sums.set(name, sum);
  }
  const parts = [...sums].map(([name, { operator, tookUs }]) => ({
    name,
    operator,
    msPerRun: median(tookUs) / 1000,
  }));
  const total = sumOf(parts);
  return parts
    .map((part) => ({ ...part, share: total === 0 ? 0 : part.msPerRun / total }))
    .toSorted((a, b) => b.msPerRun - a.msPerRun);
}

function sumOf(parts: readonly Pick<Part, 'msPerRun'>[]): number {
  return parts.reduce((sum, { msPerRun }) => sum + msPerRun, 0);
}
