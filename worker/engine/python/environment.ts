// The environment of a Python program: a folder `.venv` beside it, with the packages that it needs. It is
// made once. One that somebody else has made is used as it is.
//
// It is made in the folder `.venv.making`, which belongs to the process that has made that folder. The others, such as
// the workers of a service that starts, or `models check` beside a service, wait until it is gone. Its owner touches it
// every two seconds, since the number of a process means nothing in another container that shares the models.

import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ScorelineError } from '../../../shared/errors.js';
import { readTextIfAny } from '../../../shared/files/text-file.js';
import type { Logger } from '../../../shared/process/log.js';
import { unless } from '../../../shared/process/unless.js';
import { requirementLists } from '../../../shared/python/code.js';
import { makePythonEnvironment, pythonIn } from '../../../shared/python/environment.js';
import { killOnAbort } from './group.js';
import { variablesOfPrograms } from './variables.js';

/** Names the packages of an environment that was made here. */
const digestFile = 'scoreline-packages';
const progressEveryMs = 5000;
const touchEveryMs = 2000;
const lookEveryMs = 250;
/** If nobody has touched the folder for so long, its process was killed. */
const abandonedMs = 20_000;
const shownCharactersMax = 2000;

export interface Packages {
  /** The name of the model. */
  readonly name: string;
  /** The folder of the model. */
  readonly folder: string;
  /** The list of packages, relative to the folder. */
  readonly requirements: string;
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
  let making: Making | undefined;
  try {
    making = await claim(`${environment}.making`, log, signal);
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

/** The folder in which this process makes an environment. No other process makes it meanwhile. */
interface Making {
  readonly folder: string;
  end(): Promise<void>;
}

/** Waits until no other process makes an environment. Rejects when the signal is aborted, or with what `mkdir` says. */
async function claim(
  folder: string,
  log: Logger,
  signal: AbortSignal | undefined,
): Promise<Making> {
  let seen = { touchedAt: 0, at: performance.now() };
  while (!makeFolder(folder)) {
    const { mtimeMs: touchedAt = 0 } = statSync(folder, { throwIfNoEntry: false }) ?? {};
    // The clocks of machines that share the folder may differ, so a change counts, and not an age.
    const at = performance.now();
    if (seen.touchedAt === 0) log.info({ folder }, 'another process makes the environment');
    if (touchedAt !== seen.touchedAt) seen = { touchedAt, at };
    else if (at - seen.at > abandonedMs) await removeAbandoned(folder);
    await unless(signal, delay(lookEveryMs));
  }
  const touching = setInterval(touch, touchEveryMs, folder);
  const end = () => {
    clearInterval(touching);
    return remove(folder);
  };
  return { folder, end };
}

/** One process that waits removes a folder, and the others find it gone. */
async function removeAbandoned(folder: string): Promise<void> {
  const abandoned = `${folder}.${randomUUID()}`;
  try {
    renameSync(folder, abandoned);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
  await remove(abandoned);
}

function touch(folder: string): void {
  const now = new Date();
  try {
    utimesSync(folder, now, now);
  } catch {
    // The folder cannot be written to any more, or another process has taken it over. The installer finds that, too.
  }
}

/** Returns whether a folder was made; false if it is there. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  }
}

/** An environment has thousands of files, and other models are served meanwhile. */
function remove(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 3 });
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
  { folder: model, requirements }: Packages,
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
      base: () => 'python3',
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
