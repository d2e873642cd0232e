// The cases of a conformance run: the ONNX project's backend tests, as collect.py writes them.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { Datatype } from '../shared/tensors/tensors.js';
import { packageDirectory } from '../shared/version.js';

export interface CaseInput {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** As a binary tensor, in base64. */
  readonly data: string;
  /** The elements as a list in JSON. */
  readonly json: string;
}

export interface Case {
  readonly kind: string;
  readonly name: string;
  /** The path of the model. */
  readonly file: string;
  readonly inputs: readonly CaseInput[];
  /** Why ONNX Runtime for Node cannot be fed with the inputs, if it cannot. */
  readonly reason: string | null;
}

const requirements = 'conformance/requirements.txt';
const script = 'conformance/collect.py';

/** Reads the cases in a folder. */
export function readCases(folder: string): Case[] {
  return readFileSync(path.join(folder, 'cases.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Case)
    .map((each) => ({ ...each, file: path.join(folder, each.file) }));
}

/**
 * Collects all cases, unless the same ones are there already, and returns their folder. Needs Python 3.11
 * with venv.
 */
export function collectCases(): string {
  const root = packageDirectory();
  const sources = [requirements, script].map((file) => readFileSync(path.join(root, file)));
  const digest = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 12);
  const folder = path.join(root, 'data/conformance', digest);
  if (!existsSync(folder)) collect(root, folder);
  return folder;
}

function collect(root: string, folder: string): void {
  // A run that is cut off leaves no folder that looks complete.
  const unfinished = `${folder}.part`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(path.dirname(folder), { recursive: true });
  const parameters = ['dist/cli/python.js', requirements, script, unfinished];
  const { status } = spawnSync(process.execPath, parameters, {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) throw new Error('The cases could not be collected.');
  renameSync(unfinished, folder);
}
