// The environment of a Python program: a folder `.venv` beside it, with the packages that it needs. It is
// made once. One that somebody else has made is used as it is.
//
// It is made in the folder `.venv.making`, by one process. The others, such as the workers of a service that starts, or
// `models check` beside a service, wait for it (worker/files/claim.ts).

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../../../shared/errors.js';
import { readTextIfAny } from '../../../shared/files/text-file.js';
import type { Logger } from '../../../shared/process/log.js';
import { unless } from '../../../shared/process/unless.js';
import { requirementLists } from '../../../shared/python/code.js';
import { makePythonEnvironment, pythonIn } from '../../../shared/python/environment.js';
import { type Claim, claim, remove } from '../../files/claim.js';
import { killOnAbort } from './group.js';
import { variablesOfPrograms } from './variables.js';

/** Names the packages of an environment that was made here. */
const digestFile = 'scoreline-packages';
const progressEveryMs = 5000;
const shownCharactersMax = 2000;

export interface Packages {
  /** The name of the model. */
  readonly name: string;
  /** The folder of the model. */
  readonly folder: string;
  /** The list of packages, relative to the folder. */
  readonly requirements: string;
  /** The Python that the environment is made of; the `python3` of the machine if unset. */
  readonly python?: string | undefined;
}

/** The environments being made, by folder, each with the signal that ends it. Copies of a model ask at the same time. */
const underWay = new Map<string, { made: Promise<string>; signal: AbortSignal | undefined }>();

/**
 * Returns the Python of the model's environment, and makes the environment if it is not there or has
 * other packages than the list says. Rejects when the signal is aborted, and leaves nothing behind.
 * @throws ScorelineError `environment_failed` if it cannot be made
 */
export async function ensureEnvironment(
  packages: Packages,
  log: Logger,
  signal?: AbortSignal,
): Promise<string> {
  const { folder } = packages;
  const known = underWay.get(folder);
  if (!known) {
    const made = ensure(packages, log, signal).finally(() => underWay.delete(folder));
    underWay.set(folder, { made, signal });
    return made;
  }
  try {
    return await unless(signal, known.made);
  } catch (thrown) {
    const isForOther = known.signal?.aborted && !signal?.aborted;
    if (isForOther) return ensureEnvironment(packages, log, signal);
    throw thrown;
  }
}

async function ensure(packages: Packages, log: Logger, signal?: AbortSignal): Promise<string> {
  const environment = path.join(packages.folder, '.venv');
  const python = pythonIn(environment);
  const digest = digestOf(packages);
  const known = readDigest(environment);
  // A Python that is gone, such as after an upgrade of the machine, leaves a link behind that leads nowhere.
  if (existsSync(python) && (known === undefined || known === digest)) return python;
  const isMade = () => existsSync(python) && readDigest(environment) === digest;
  let making: Claim | undefined;
  try {
    making = await claim(`${environment}.making`, {
      signal,
      onWait: () => log.info({ environment }, 'another process makes the environment'),
    });
    if (isMade()) return python;
    const part = path.join(making.folder, 'environment');
    await make(part, packages, { log, signal });
    writeFileSync(path.join(part, digestFile), digest);
    await remove(environment);
    renameSync(part, environment);
  } catch (thrown) {
    signal?.throwIfAborted();
    throw unmakable(packages, thrown);
  } finally {
    await making?.end();
  }
  return python;
}

function digestOf({ folder, requirements }: Packages): string {
  const digest = createHash('sha256');
  for (const list of requirementLists(folder, requirements)) {
    digest.update(readFileSync(path.join(folder, list)));
  }
  return digest.digest('hex');
}

function readDigest(environment: string): string | undefined {
  return readTextIfAny(path.join(environment, digestFile));
}

async function make(
  folder: string,
  { folder: model, requirements, python }: Packages,
  { log, signal }: { log: Logger; signal: AbortSignal | undefined },
) {
  const startedAt = performance.now();
  const say = (message: string) =>
    log.info(
      { requirements, seconds: Math.round((performance.now() - startedAt) / 1000) },
      message,
    );
  say('making the Python environment of the model');
  const progress = setInterval(() => say('installing Python packages'), progressEveryMs);
  try {
    await makePythonEnvironment(folder, {
      packages: ['-r', path.join(model, requirements), 'numpy'],
      ...(python !== undefined && { version: python }),
      base: () => python ?? 'python3',
      isQuiet: true,
      // In an image, nobody may write there later.
      isCompiled: true,
      run: (program, parameters) => run(program, parameters, { cwd: model, signal }),
    });
  } finally {
    clearInterval(progress);
  }
  say('made the Python environment of the model');
}

/**
 * Runs a program until it ends or the signal is aborted, and resolves to the end of what it wrote. Rejects with that if
 * it fails.
 */
function run(
  program: string,
  parameters: readonly string[],
  { cwd, signal }: { cwd: string; signal: AbortSignal | undefined },
): Promise<string> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const child = spawn(program, parameters, {
      cwd,
      // Without a signal, that of the terminal ends it.
      detached: signal !== undefined,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Packages run code of their own when they are built.
      env: variablesOfPrograms(),
    });
    killOnAbort(child, signal);
    let said = '';
    const keep = (text: Buffer) => {
      said = `${said}${text}`.slice(-shownCharactersMax);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code, killedBy) => {
      if (code === 0) resolve(said);
      else reject(new Error(`${program} ended with ${killedBy ?? code}: ${said.trim()}`));
    });
  });
}

function unmakable({ name, folder, requirements }: Packages, thrown: unknown): ScorelineError {
  return new ScorelineError(
    'environment_failed',
    `expected to make ${path.join(folder, '.venv')} with the packages in ${requirements}; ${(thrown as Error).message}. A machine that makes environments needs uv, or Python 3 with its package venv (python3-venv of Debian), and to write to this folder. Elsewhere, make it beforehand: npm run models -- check ${name}. In a container, take the image worker-python, built with the model (docs/python.md)`,
    { cause: thrown },
  );
}
