// The environment of a Python program: a folder `.venv` beside it, with the packages that it needs. It is
// made once. One that somebody else has made is used as it is.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { ScorelineError } from '../../../shared/errors.js';
import { readTextIfAny } from '../../../shared/files/text-file.js';
import type { Logger } from '../../../shared/process/log.js';
import { requirementLists } from '../../../shared/python/code.js';
import { makePythonEnvironment, pythonIn } from '../../../shared/python/environment.js';
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
}

/** Those that are made, by folder: several instances of a model ask at the same time. */
const underWay = new Map<string, Promise<string>>();

/**
 * Returns the Python of the model's environment, and makes the environment if it is not there or has
 * other packages than the list says.
 * @throws ScorelineError `model_file_wrong` if it cannot be made
 */
export function ensureEnvironment(packages: Packages, log: Logger): Promise<string> {
  const { folder } = packages;
  const known = underWay.get(folder);
  if (known) return known;
  const made = ensure(packages, log).finally(() => underWay.delete(folder));
  underWay.set(folder, made);
  return made;
}

async function ensure(packages: Packages, log: Logger): Promise<string> {
  const environment = path.join(packages.folder, '.venv');
  const python = pythonIn(environment);
  const digest = digestOf(packages);
  const known = readDigest(environment);
  // A Python that is gone, such as after an upgrade of the machine, leaves a link behind that leads nowhere.
  if (existsSync(python) && (known === undefined || known === digest)) return python;
  const isMade = () => existsSync(python) && readDigest(environment) === digest;
  // Made beside its place and moved there, since several workers may start at the same time.
  const part = `${environment}.${process.pid}`;
  try {
    // In a container, the process that was killed while it made one had the same number.
    rmSync(part, { recursive: true, force: true });
    await make(part, packages, log);
    writeFileSync(path.join(part, digestFile), digest);
    if (!isMade()) {
      rmSync(environment, { recursive: true, force: true });
      renameSync(part, environment);
    }
  } catch (thrown) {
    if (isMade()) return python;
    throw unmakable(packages, thrown);
  } finally {
    rmSync(part, { recursive: true, force: true });
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

async function make(folder: string, { folder: model, requirements }: Packages, log: Logger) {
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
      run: (program, parameters) => run(program, parameters, model),
    });
  } finally {
    clearInterval(progress);
  }
  say('made the Python environment of the model');
}

/** Runs a program to its end, and resolves to the end of what it wrote. Rejects with that if it fails. */
function run(program: string, parameters: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Packages run code of their own when they are built.
      env: variablesOfPrograms(),
    });
    let said = '';
    const keep = (text: Buffer) => {
      said = `${said}${text}`.slice(-shownCharactersMax);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(said);
      else reject(new Error(`${program} ended with ${code}: ${said.trim()}`));
    });
  });
}

function unmakable({ name, folder, requirements }: Packages, thrown: unknown): ScorelineError {
  return new ScorelineError(
    'model_file_wrong',
    `expected to make ${path.join(folder, '.venv')} with the packages in ${requirements}; ${(thrown as Error).message}. A machine that makes environments needs uv, or Python 3 with its package venv (python3-venv of Debian), and to write to this folder. Elsewhere, make it beforehand: npm run models -- check ${name}. In a container, take the image worker-python, built with the model (docs/python.md)`,
    { cause: thrown },
  );
}
