// `npm run chaos -- [--seconds S | --requests N] [--seed N] [--clients N] [--workers N]
//                   [--faults KIND,KIND,…] [--kill-every-ms MS] [--deadline-ms MS]
//                   [--target scoreline|compose|flask] [--keep-logs]`
// `npm run chaos -- --jobs N [--seed N] [--clients N] …`
//
// Puts a service under load while it kills, stops, cuts off and poisons parts of it. At the end it
// prints a table, and the same figures as one line of JSON. It exits with 1 if any request was
// lost, answered wrongly, answered twice or never answered, or if the service is not well
// afterwards.
//
// With `--jobs`, it submits so many jobs instead, and cancels half of them, while workers are killed.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { run } from '../chaos/run.js';
import { isJobsPassed, runJobs } from '../chaos/run-jobs.js';
import type { FaultKind } from '../chaos/schedule.js';
import { formatSummary, isPassed } from '../chaos/tally.js';
import type { Target } from '../chaos/target.js';
import { targets } from '../chaos/targets.js';
import { coerceError } from '../shared/errors.js';

const killEveryMs = 2000;
const deadlineMs = 15_000;
/** The queue of all jobs may be long. */
const jobDeadlineMs = 1_800_000;
const jobFaults: readonly FaultKind[] = ['kill'];
const say = (line: string) => process.stderr.write(`${line}\n`);
const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-chaos-'));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // Exiting is enough: every target stops what it has started when this process exits.
  process.on(signal, () => process.exit(1));
}

try {
  const options = readOptions();
  say(`Seed ${options.seed}, ${options.clients} clients, faults: ${options.kinds.join(', ')}.`);
  const target = await options.start({ directory, ...options });
  const passed = await runAndPrint(target, options);
  if (!passed) say(`Failed with seed ${options.seed}.`);
  if (passed && !options.keepLogs) rmSync(directory, { recursive: true, force: true });
  else say(`The logs are in ${directory}.`);
  process.exit(passed ? 0 : 1);
} catch (error) {
  say(coerceError(error).message);
  if (readdirSync(directory).length > 0) say(`The logs are in ${directory}.`);
  else rmSync(directory, { recursive: true });
  process.exit(1);
}

/** Resolves to whether the run passed. */
async function runAndPrint(
  target: Target,
  options: ReturnType<typeof readOptions>,
): Promise<boolean> {
  const { jobs } = options;
  if (jobs === undefined) {
    const summary = await run(target, options);
    process.stdout.write(`${formatSummary(summary)}\n${JSON.stringify(summary)}\n`);
    return isPassed(summary);
  }
  const summary = await runJobs(target, { ...options, jobs });
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  return isJobsPassed(summary);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '30' },
      requests: { type: 'string' },
      jobs: { type: 'string' },
      seed: { type: 'string', default: '7' },
      clients: { type: 'string', default: '32' },
      workers: { type: 'string', default: '2' },
      faults: { type: 'string' },
      'kill-every-ms': { type: 'string' },
      'deadline-ms': { type: 'string' },
      target: { type: 'string', default: 'scoreline' },
      'keep-logs': { type: 'boolean', default: false },
    },
  });
  const { jobs } = values;
  const target = targets[values.target];
  if (!target) {
    const names = Object.keys(targets).join(', ');
    throw new Error(`--target: expected one of ${names}; got ${values.target}`);
  }
  return {
    start: target.start,
    seconds: readNumber('seconds', values.seconds),
    requests: values.requests === undefined ? undefined : readNumber('requests', values.requests),
    seed: readNumber('seed', values.seed),
    clients: readNumber('clients', values.clients),
    workers: readNumber('workers', values.workers),
    kinds:
      values.faults === undefined
        ? jobs === undefined
          ? target.defaultFaults
          : jobFaults
        : readKinds(values.faults, target),
    killEveryMs: readNumber(
      'kill-every-ms',
      values['kill-every-ms'] ?? String(killEveryMs * target.stretch),
    ),
    stretch: target.stretch,
    jobs: jobs === undefined ? undefined : readNumber('jobs', jobs),
    deadlineMs: readNumber(
      'deadline-ms',
      values['deadline-ms'] ?? String(jobs === undefined ? deadlineMs : jobDeadlineMs),
    ),
    keepLogs: values['keep-logs'],
    say,
  };
}

function readNumber(name: string, value: string): number {
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--${name}: expected a whole number above 0; got ${value}`);
}

/** Only kinds that the target can have, since others would be left out silently. */
function readKinds(value: string, { faults }: { faults: readonly FaultKind[] }): FaultKind[] {
  return value.split(',').map((name) => {
    const kind = faults.find((candidate) => candidate === name.trim());
    if (kind) return kind;
    throw new Error(`--faults: expected one or more of ${faults.join(', ')}; got ${name}`);
  });
}
