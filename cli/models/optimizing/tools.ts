// Runs ONNX Runtime's tools, which are Python, in an environment that the first run makes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import { packageDirectory } from '../../../shared/version.js';
import { wrong } from '../../faults.js';
import { endWithCommand } from '../../temporary.js';

export const methods = ['graph', 'fp16', 'int8-dynamic', 'int8'] as const;
export type Method = (typeof methods)[number];

export const ranges = ['minmax', 'percentile', 'entropy'] as const;

export interface Tuning {
  /** How the range of each value is found from the calibration inputs. */
  readonly ranges: (typeof ranges)[number];
  /** Weights of 7 bits, for processors whose products of 8 bits overflow. */
  readonly reduceRange: boolean;
  /** The names of nodes that stay as they are. */
  readonly keep: readonly string[];
  /** The file that names the Python packages; that of the tools if undefined. */
  readonly packages?: string | undefined;
}

/** What changed, by operator; or why the network cannot be changed in this way. */
export type Outcome =
  | { readonly changed: Readonly<Record<string, number>> }
  | { readonly fault: string };

/**
 * Writes an optimised copy of an ONNX file.
 * @param files the original, the copy, and the calibration inputs
 * @throws ScorelineError `configuration_invalid` if the tools cannot be run
 */
export async function transform(
  method: Method,
  files: { source: string; target: string; inputs: string },
  { ranges: how, reduceRange, keep, packages }: Tuning,
): Promise<Outcome> {
  const root = packageDirectory();
  const folder = path.join(root, 'cli/models/optimizing');
  const tool = spawn(
    process.execPath,
    [
      path.join(root, 'dist/cli/python.js'),
      ...[
        packages ?? path.join(folder, 'requirements.txt'),
        path.join(folder, 'transform.py'),
        method,
      ],
      ...['--source', files.source, '--target', files.target, '--inputs', files.inputs],
      ...['--ranges', how, ...(reduceRange ? ['--reduce-range'] : [])],
      ...(keep.length > 0 ? ['--keep', ...keep] : []),
    ],
    // A group of its own: pip and the tools end with this command.
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  endWithCommand(tool);
  // The first run says that it installs packages, which takes a minute.
  tool.stderr.once('data', (bytes: Buffer) => {
    if (/^Installing/.test(String(bytes))) process.stderr.write(bytes);
  });
  const [[code], output, complaint] = await Promise.all([
    once(tool, 'close'),
    text(tool.stdout),
    text(tool.stderr),
  ]);
  const line = output.trim().split('\n').at(-1) ?? '';
  if (line.startsWith('{')) return JSON.parse(line);
  // python.js ends with it when a signal has ended Python.
  if (code === 130) return { fault: "ONNX's tools crash on this network" };
  throw wrong(
    `Expected ONNX Runtime's tools to run; got: ${complaint.trim().split('\n').slice(-3).join(' ')}`,
  );
}

/** Writes inputs of the network for the calibration, a line for each. */
export async function writeInputs(
  file: string,
  inputs: readonly (readonly Tensor[])[],
): Promise<void> {
  const stream = createWriteStream(file);
  for (const tensors of inputs) {
    const line = tensors.map(({ data, ...head }) => ({
      ...head,
      data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
    }));
    if (!stream.write(`${JSON.stringify(line)}\n`)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'finish');
}
