// Proves the service on a cluster.

import path from 'node:path';
import process from 'node:process';
import { prepareCatalogue } from '../chaos/catalogue.js';
import { referenceContract } from '../chaos/contracts.js';
import { formatBadPods, tryBadPods } from '../chaos/kubernetes/bad-pods.js';
import { disturbances } from '../chaos/kubernetes/disturbances.js';
import {
  checkUnused,
  install,
  makeKey,
  remove,
  removeAtExit,
} from '../chaos/kubernetes/installation.js';
import { findClusterProblem, makeKubectl } from '../chaos/kubernetes/kubectl.js';
import { readTrialPlan } from '../chaos/kubernetes/plan.js';
import { openRoute } from '../chaos/kubernetes/route.js';
import type { StageOptions } from '../chaos/kubernetes/stage.js';
import { formatTimes } from '../chaos/kubernetes/times.js';
import { runTrial } from '../chaos/kubernetes/trial.js';
import { formatSummary, isPassed } from '../chaos/tally.js';
import { isDnsLabel, namespaceLengthMax } from '../k8s/names.js';
import { packageDirectory } from '../shared/version.js';
import { parseArguments } from './arguments.js';
import { describeFault, helpIfAsked } from './command.js';
import { toCount } from './numbers.js';
import { readNames, say } from './seeded/run.js';
import { makeTemporary } from './temporary.js';

/** Long enough for a worker to come back after anything that the run does. */
const deadlineMs = 30_000;

/** The parts of a run. Every disturbance comes with scaling. */
const partNames = ['scaling', ...disturbances.map(({ name }) => name), 'bad-pods'];

const usage = `Usage: npm run e2e:k8s -- [--values FILE] [--api-image IMAGE] [--worker-image IMAGE] [--redis-image IMAGE]
                          [--namespace NAME] [--only NAME,NAME,…] [--clients N] [--seed N] [--relay] [--keep]

Proves the service on the cluster that KUBECONFIG names, in a namespace of its own: workers from zero and back,
and no request lost while pods end in every way. Prints how long things took. Exits with 1 if anything is wrong,
and with 0 if there is no cluster, after saying so. The names of --only: ${partNames.join(', ')}.`;

helpIfAsked(usage);
const directory = makeTemporary('e2e');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => process.exit(1));

try {
  const options = readOptions();
  const problem = await findClusterProblem();
  if (problem !== undefined) say(`Skipped: ${problem}`);
  process.exit(problem !== undefined || (await prove(options)) ? 0 : 1);
} catch (error) {
  say(describeFault(error, usage));
  // Whatever still runs ends with this process, and the namespace is removed.
  process.exit(1);
}

async function prove(options: ReturnType<typeof readOptions>): Promise<boolean> {
  const { namespace, keep } = options;
  const modelsDirectory = path.join(packageDirectory(), 'models');
  const plan = readTrialPlan({ ...options, modelsDirectory });
  const kubectl = makeKubectl(namespace);
  await checkUnused(kubectl);
  const atExit = () => {
    if (!keep) removeAtExit(namespace);
  };
  process.once('exit', atExit);
  await install({ kubectl, plan, folder: path.join(directory, 'manifests'), say });
  const route = await openRoute({
    kubectl,
    image: plan.values.images.worker,
    mustRelay: options.relay,
  });
  say(`The clients reach the Service ${route.description}.`);
  const contract = referenceContract({ 'X-API-Key': await makeKey(kubectl) });
  const catalogue = await prepareCatalogue({ modelsDirectory, deadlineMs, contract });
  const isGood = await run(options, { kubectl, plan, catalogue, address: route.address });
  route.close();
  if (keep) say(`Kept: kubectl delete namespace ${namespace} ${namespace}-relay`);
  else await remove(kubectl);
  process.off('exit', atExit);
  return isGood;
}

async function run(
  options: ReturnType<typeof readOptions>,
  service: Pick<StageOptions, 'kubectl' | 'plan' | 'catalogue' | 'address'>,
): Promise<boolean> {
  const { clients, parts, seed } = options;
  const chosen = disturbances.filter(({ name }) => parts.includes(name));
  let isGood = true;
  if (parts.includes('scaling') || chosen.length > 0) {
    const trial = await runTrial({ ...service, clients, seed, disturbances: chosen, say });
    const { summary, times } = trial;
    process.stdout.write(`${formatSummary(summary)}\n\n${formatTimes(times)}\n`);
    process.stdout.write(`${JSON.stringify({ ...summary, times: times.rows })}\n`);
    isGood = isPassed(summary);
  }
  if (parts.includes('bad-pods')) {
    say('Pods that cannot work are watched for a minute.');
    const reports = await tryBadPods(service.kubectl, service.plan);
    process.stdout.write(`${formatBadPods(reports)}\n`);
    isGood &&= reports.every(({ faults }) => faults.length === 0);
  }
  return isGood;
}

function readOptions() {
  const { values } = parseArguments({
    options: {
      values: {
        type: 'string',
        default: path.join(packageDirectory(), 'chaos/kubernetes/values.yaml'),
      },
      'api-image': { type: 'string' },
      'worker-image': { type: 'string' },
      'redis-image': { type: 'string' },
      namespace: { type: 'string', default: 'scoreline-e2e' },
      only: { type: 'string' },
      clients: { type: 'string', default: '48' },
      seed: { type: 'string', default: '7' },
      relay: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  return {
    file: values.values,
    images: {
      api: values['api-image'],
      worker: values['worker-image'],
      redis: values['redis-image'],
    },
    namespace: readNamespace(values.namespace),
    parts: readNames('only', values.only, partNames),
    clients: toCount('clients', values.clients),
    seed: toCount('seed', values.seed),
    relay: values.relay,
    keep: values.keep,
  };
}

function readNamespace(name: string): string {
  if (isDnsLabel(name) && name.length <= namespaceLengthMax) return name;
  throw new Error(
    `--namespace: expected lower-case letters, digits and -, at most ${namespaceLengthMax} characters; got ${name}`,
  );
}
