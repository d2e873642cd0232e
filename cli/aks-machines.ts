// Says, before anything is made, whether the region has the machines that the values ask for, and the subscription a
// quota for them.

import path from 'node:path';
import process from 'node:process';
import { findMachineFaults, readLists } from '../k8s/aks/machines.js';
import { makePools } from '../k8s/aks/pools.js';
import { readPlan } from '../k8s/read-plan.js';
import { packageDirectory } from '../shared/version.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';

const usage = `Usage: npm run aks:machines -- --values FILE [--skus FILE] [--usage FILE] [--models FOLDER]

The two lists are what \`az vm list-skus\` and \`az vm list-usage\` print (docs/aks.md).`;
const models = path.join(packageDirectory(), 'models');

await runCommand(usage, () => {
  const { values: options } = parseArguments({
    options: {
      skus: { type: 'string', default: 'skus.json' },
      usage: { type: 'string', default: 'usage.json' },
      models: { type: 'string', default: models },
      values: { type: 'string' },
    },
  });
  if (options.values === undefined) throw new Error('--values: expected a file; got nothing');
  const plan = readPlan({ file: options.values, modelsDirectory: options.models });
  const { aks } = plan.values;
  if (!aks) throw new Error(`${options.values}: aks: expected the cluster to be made; got nothing`);
  const pools = makePools(plan, aks);
  const faults = findMachineFaults(pools, { region: aks.region, ...readLists(options) });
  if (faults.length > 0) throw new Error(faults.join('\n'));
  const names = pools.map(({ name, machine, min, max }) => `${name}: ${min} to ${max} ${machine}`);
  process.stdout.write(`${aks.region} has the machines, and the quota is enough.\n`);
  process.stdout.write(`${names.join('\n')}\n`);
});
