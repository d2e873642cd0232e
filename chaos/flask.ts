// The target for comparison: the reference's way of serving, Flask under gunicorn. gunicorn
// replaces a killed worker, but the worker's requests are lost, and their clients cannot know
// whether it is safe to ask again.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { findFreePort } from '../cli/redis/redis.js';
import { type Model, readModels } from '../shared/registry/models.js';
import { packageDirectory } from '../shared/version.js';
import { referenceContract } from './contracts.js';
import { prepareInputs } from './inputs.js';
import type { AnswerForm } from './judge.js';
import { pick } from './random.js';
import type { Fault } from './schedule.js';
import { isAnswering } from './service.js';
import type { Target, TargetOptions } from './target.js';
import { waitUntil } from './wait.js';

const name = 'faq-matcher';
/** Long enough to install the packages, if they are missing, and to train the pipeline. */
const startsWithinMs = 600_000;

/** Starts gunicorn on a free port. Rejects if it is not ready within ten minutes. */
export async function startFlask(options: TargetOptions): Promise<Target> {
  const root = packageDirectory();
  const models = readModels({
    directory: path.join(root, 'models'),
    names: [name],
    filesNeeded: true,
  });
  const inputs = await prepareInputs(models[0] as Model, options.deadlineMs, referenceContract());
  const address = { host: '127.0.0.1', port: await findFreePort() };
  const log = openSync(path.join(options.directory, 'flask.log'), 'a');
  const wrapper = spawn(
    process.execPath,
    [
      ...['dist/cli/python.js', 'bench/flask/requirements.txt', 'bench/flask/serve.py'],
      ...[String(address.port), String(options.workers)],
    ],
    { cwd: root, detached: true, stdio: ['ignore', log, log] },
  );
  const group = -(wrapper.pid as number);
  const endGroup = () => {
    try {
      process.kill(group, 'SIGKILL');
    } catch {}
  };
  process.once('exit', endGroup);

  const findWorkers = () => {
    const [gunicorn] = childrenOf(wrapper.pid as number);
    return gunicorn === undefined ? [] : childrenOf(gunicorn);
  };
  const isReady = (withinMs: number) =>
    waitUntil(
      async () => findWorkers().length >= options.workers && (await isAnswering(address, '/')),
      withinMs,
    );
  const end = (signal: NodeJS.Signals) => async (fault: Fault) => {
    const workers = findWorkers();
    if (workers.length > 0) process.kill(pick(workers, fault.victim), signal);
    await isReady(startsWithinMs);
  };

  if (!(await isReady(startsWithinMs))) {
    throw new Error(`Flask did not start; see ${options.directory}/flask.log.`);
  }
  return {
    address,
    models: [name],
    inputsOf: () => inputs,
    poison: () => Promise.reject(new Error('Flask takes no poison: it does not use ONNX Runtime.')),
    formOf: () => referenceForm,
    faults: {
      kill: end('SIGKILL'),
      term: end('SIGTERM'),
      async stop(fault) {
        const pid = pick(findWorkers(), fault.victim);
        process.kill(pid, 'SIGSTOP');
        await delay(fault.forMs);
        process.kill(pid, 'SIGCONT');
      },
    },
    isReady,
    findIllness: async () => [],
    async close() {
      process.kill(group, 'SIGTERM');
      await Promise.race([once(wrapper, 'exit'), delay(10_000)]);
      endGroup();
      return [];
    },
  };
}

/** The pipeline computes in 64 bits, ours in 32. */
const referenceForm: AnswerForm = {
  ...referenceContract().makeForm(),
  tolerance: 1e-3,
  connectionLossIsRefusal: false,
};

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
