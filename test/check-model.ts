// Checks a model as `npm run models -- check NAME` does, without a process of its own.

import { checkModel } from '../cli/models/check.js';
import { readModel } from './harness.js';

/** Resolves to the lines that the command prints. */
export async function checkIn(directory: string, name: string): Promise<string[]> {
  const lines: string[] = [];
  await checkModel(readModel(name, directory), (line) => lines.push(line));
  return lines;
}
