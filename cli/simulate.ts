// Simulates how a model's workers would come and go under loads, and what that would cost. Prints a table, and
// the same figures as one line of JSON.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { drawPlot } from '../simulate/plot.js';
import { formatJson, formatTable } from '../simulate/report.js';
import { simulate } from '../simulate/simulation.js';
import { readSimulationValues, vary } from '../simulate/values.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { toNumber } from './numbers.js';
import { readNames } from './seeded/run.js';
import { requireWritableFile } from './writable.js';

const usage = `Usage: npm run simulate -- [--values FILE] [--scenarios NAME,NAME,…] [--items-per-worker N,N,…]
                           [--cool-down-seconds N,N,…] [--seed N] [--plot FILE]`;

const seeds = { min: 0, isWhole: true };

await runCommand(usage, () => {
  const { values, scenarios, variants, plot } = readOptions();
  const runs = scenarios.flatMap((name) =>
    variants.map((scaling) => simulate(vary(values, scaling), name)),
  );
  const { currency, seed } = values;
  const outcomes = runs.map(({ outcome }) => outcome);
  const table = formatTable(outcomes, currency);
  process.stdout.write(`${table}\n${formatJson(outcomes, { currency, seed })}\n`);
  if (plot !== undefined) writeFileSync(plot, drawPlot(runs));
});

function readOptions() {
  const { values: options } = parseArguments({
    options: {
      values: { type: 'string', default: path.join(packageDirectory(), 'simulate/values.yaml') },
      scenarios: { type: 'string' },
      'items-per-worker': { type: 'string' },
      'cool-down-seconds': { type: 'string' },
      seed: { type: 'string' },
      plot: { type: 'string' },
    },
  });
  if (options.plot !== undefined) requireWritableFile('--plot', options.plot);
  const read = readSimulationValues(options.values);
  const values =
    options.seed === undefined ? read : { ...read, seed: toNumber('seed', options.seed, seeds) };
  const targets = readNumbers('items-per-worker', options['items-per-worker'], 1_000_000);
  const coolDowns = readNumbers('cool-down-seconds', options['cool-down-seconds'], 3600);
  return {
    values,
    scenarios: readNames('scenarios', options.scenarios, Object.keys(values.scenarios)),
    variants: targets.flatMap((itemsPerWorker) =>
      coolDowns.map((coolDownSeconds) => ({ itemsPerWorker, coolDownSeconds })),
    ),
    plot: options.plot,
  };
}

/** Returns the numbers of an option, or a single undefined if it was not given. */
function readNumbers(
  name: string,
  given: string | undefined,
  max: number,
): readonly (number | undefined)[] {
  if (given === undefined) return [undefined];
  return given
    .split(',')
    .map((part) => toNumber(name, part.trim(), { min: 1, max, isWhole: true }));
}
