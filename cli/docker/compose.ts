// Docker Compose by its command line: Compose 2, a plug-in of Docker, or docker-compose 1.29.

import { type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import process from 'node:process';
import { call, docker, findDockerProblem } from './docker.js';

type Command = readonly [program: string, ...first: string[]];

const commands: readonly Command[] = [['docker', 'compose'], ['docker-compose']];

/** One project: the containers, networks and volumes of its files. */
export interface Compose {
  /** Runs a command of Compose and resolves to what it prints. */
  run(...parameters: string[]): Promise<string>;
  /** Returns the ids of a service's containers, also of those that do not run. */
  containersOf(service: string): Promise<string[]>;
  /** Appends what the containers print to a file, until the returned function is called. */
  logTo(file: string): () => void;
  /** Removes everything. Resolves to what is left of it. */
  down(): Promise<string[]>;
}

/** Returns why no project can be run here, or undefined if one can. */
export async function findComposeProblem(): Promise<string | undefined> {
  const problem = await findDockerProblem();
  if (problem !== undefined || (await findCommand())) return problem;
  return 'Expected Docker Compose; got neither `docker compose` nor `docker-compose`.';
}

/** Builds the images of the API and the worker under the names that docker-compose.yml has. */
export async function buildImages(file: string): Promise<void> {
  const command = await ensureCommand();
  await call([...command, '-f', file, 'build', 'api', 'worker'], { name: 'building the images' });
}

/**
 * Opens a project. Nothing of it is left when this process exits, however that happens, so its name
 * must not be that of a project which someone else may run.
 * Rejects if there is no Docker engine, or no Compose.
 */
export async function openCompose(options: {
  project: string;
  files: readonly string[];
  environment: NodeJS.ProcessEnv;
}): Promise<Compose> {
  const { project, files, environment } = options;
  const command = await ensureCommand();
  const always = [...command, '-p', project, ...files.flatMap((file) => ['-f', file])] as const;
  const [program, ...parameters] = always;
  const label = `label=com.docker.compose.project=${project}`;
  const downCommand = ['down', '--volumes', '--remove-orphans'];
  const downAtExit = () =>
    spawnSync(program, [...parameters, ...downCommand], { env: environment, stdio: 'ignore' });
  process.once('exit', downAtExit);

  const run = (...given: string[]) =>
    call([...always, ...given], { name: `${command.join(' ')} ${given[0]}`, environment });
  return {
    run,
    containersOf: async (service) =>
      toLines(
        await docker(
          ...['ps', '--all', '--quiet', '--no-trunc', '--filter', label],
          ...['--filter', `label=com.docker.compose.service=${service}`],
        ),
      ),
    logTo(file) {
      const log = openSync(file, 'a');
      const stdio: StdioOptions = ['ignore', log, log];
      const follow = [...parameters, 'logs', '--no-color', '--follow'];
      const child = spawn(program, follow, { env: environment, stdio });
      closeSync(log);
      const stop = () => void child.kill('SIGKILL');
      process.once('exit', stop);
      return stop;
    },
    async down() {
      await run(...downCommand);
      process.off('exit', downAtExit);
      return findLeft(label);
    },
  };
}

async function findLeft(label: string): Promise<string[]> {
  const left = await Promise.all([
    docker('ps', '--all', '--filter', label, '--format', 'container {{.Names}}'),
    docker('network', 'ls', '--filter', label, '--format', 'network {{.Name}}'),
    docker('volume', 'ls', '--filter', label, '--format', 'volume {{.Name}}'),
  ]);
  return left.flatMap(toLines);
}

async function ensureCommand(): Promise<Command> {
  const problem = await findComposeProblem();
  const command = await findCommand();
  if (problem !== undefined || !command) throw new Error(problem);
  return command;
}

async function findCommand(): Promise<Command | undefined> {
  for (const command of commands) {
    try {
      await call([...command, 'version'], { name: command.join(' ') });
      return command;
    } catch {}
  }
  return undefined;
}

function toLines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
