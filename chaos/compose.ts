// Scoreline's containers as the target: docker-compose.yml, with what chaos/compose.yml adds to it.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { buildImages, openCompose } from '../cli/docker/compose.js';
import { docker } from '../cli/docker/docker.js';
import { findFreePort } from '../cli/redis/redis.js';
import { packageDirectory } from '../shared/version.js';
import { modelNames, prepareCatalogue } from './catalogue.js';
import type { Address } from './client.js';
import { makeComposeFaults } from './compose-faults.js';
import { areWell, findBadEnds, lookEveryMs, type Service, stopSeconds } from './containers.js';
import { copyModels } from './models.js';
import { findLeftBehind } from './service.js';
import type { Target, TargetOptions } from './target.js';
import { waitUntil } from './wait.js';

const composeFile = path.join(packageDirectory(), 'docker-compose.yml');
const startsWithinMs = 120_000;

/**
 * Builds the images unless API_IMAGE and WORKER_IMAGE name others, and starts a project of its own.
 * Rejects without a Docker engine, or if the service is not ready within two minutes.
 */
export async function startCompose(options: TargetOptions): Promise<Target> {
  const { directory, workers, say } = options;
  const address = { host: '127.0.0.1', port: await findFreePort() };
  const { compose, network } = await openProject({ directory, address });
  if (!process.env.API_IMAGE || !process.env.WORKER_IMAGE) {
    say('Building the images …');
    await buildImages(composeFile);
  }
  const modelsDirectory = prepareVolumes(directory);
  const { queues, ...catalogue } = await prepareCatalogue({ ...options, modelsDirectory });

  const wanted: Record<Service, number> = { redis: 1, api: 1, worker: workers };
  const isReady = (withinMs: number) =>
    waitUntil(() => areWell(compose, wanted), withinMs, lookEveryMs);
  await compose.run('up', '--detach', '--scale', `worker=${workers}`);
  const stopLogging = compose.logTo(path.join(directory, 'containers.log'));
  if (!(await isReady(startsWithinMs))) {
    throw new Error(`The containers did not start; see ${directory}.`);
  }

  return {
    ...catalogue,
    address,
    faults: makeComposeFaults({ compose, network, workers, say }),
    isReady,
    async findIllness() {
      const [redis = ''] = await compose.containersOf('redis');
      return findLeftBehind(queues, async (command, key) =>
        Number(await docker('exec', redis, 'redis-cli', command, key)),
      );
    },
    async close() {
      await compose.run('stop', '--timeout', stopSeconds);
      const reasons = await findBadEnds(compose);
      stopLogging();
      const left = await compose.down();
      return [...reasons, ...left.map((name) => `${name} is left after \`down\``)];
    },
  };
}

async function openProject(options: { directory: string; address: Address }) {
  const { directory, address } = options;
  const project = `scoreline-chaos-${process.pid}`;
  const compose = await openCompose({
    project,
    files: [composeFile, path.join(packageDirectory(), 'chaos/compose.yml')],
    environment: {
      ...process.env,
      CHAOS_DIRECTORY: directory,
      CHAOS_CODE: fileURLToPath(new URL('.', import.meta.url)),
      MODELS: modelNames.join(','),
      AUTH: 'none',
      API_ADDRESS: address.host,
      API_PORTS: String(address.port),
    },
  });
  return { compose, network: `${project}_queue` };
}

/** Writes what chaos/compose.yml gives to the containers, and returns the folder of the models. */
function prepareVolumes(directory: string): string {
  const models = path.join(directory, 'models');
  copyModels(models, modelNames, (from, to) => cpSync(from, to, { recursive: true }));
  const pipes = path.join(directory, 'pipes');
  mkdirSync(pipes);
  execFileSync('mkfifo', [path.join(pipes, 'pipe')]);
  return models;
}
