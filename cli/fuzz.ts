// `npm run fuzz -- [--requests N] [--seconds S] [--seed N] [--clients N] [--keep-logs]`
//
// Sends mutated requests to all routes of a real API with a real worker, and judges every answer. At the
// end it prints a table, and the same figures as one line of JSON. It exits with 1 if any answer was not as
// it should be, or if the service is not well afterwards.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { fuzz } from '../fuzz/run.js';
import { formatSummary, isPassed } from '../fuzz/tally.js';
import { coerceError } from '../shared/errors.js';

const say = (line: string) => process.stderr.write(`${line}\n`);
const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-fuzz-'));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // Exiting is enough: what was started ends with this process.
  process.on(signal, () => process.exit(1));
}

try {
  const { keepLogs, ...options } = readOptions();
  say(`Seed ${options.seed}, ${options.clients} clients, ${options.requests} requests.`);
  const summary = await fuzz({ ...options, directory, say });
  process.stdout.write(`${formatSummary(summary)}\n${JSON.stringify(summary)}\n`);
  const passed = isPassed(summary);
  if (!passed) say(`Failed with seed ${summary.seed}.`);
  if (passed && !keepLogs) rmSync(directory, { recursive: true, force: true });
  else say(`The logs are in ${directory}.`);
  process.exit(passed ? 0 : 1);
} catch (error) {
  say(coerceError(error).message);
  if (readdirSync(directory).length > 0) say(`The logs are in ${directory}.`);
  else rmSync(directory, { recursive: true });
  process.exit(1);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '900' },
      seed: { type: 'string', default: '7' },
      clients: { type: 'string', default: '32' },
      'keep-logs': { type: 'boolean', default: false },
    },
  });
  return {
    requests: readNumber('requests', values.requests),
    seconds: readNumber('seconds', values.seconds),
    seed: readNumber('seed', values.seed),
    clients: readNumber('clients', values.clients),
    keepLogs: values['keep-logs'],
  };
}

function readNumber(name: string, value: string): number {
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--${name}: expected a whole number above 0; got ${value}`);
}
