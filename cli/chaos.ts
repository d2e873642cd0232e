// Puts a service under load while it kills parts of it.

import process from 'node:process';
import { run } from '../chaos/run.js';
import { isJobsPassed, runJobs } from '../chaos/run-jobs.js';
import type { FaultKind } from '../chaos/schedule.js';
import { formatSummary, isPassed } from '../chaos/tally.js';
import type { Target } from '../chaos/target.js';
import { targets } from '../chaos/targets.js';
import { parseArguments } from './arguments.js';
import { toCount } from './numbers.js';
import { readNames, runSeeded, say } from './seeded/run.js';

const usage = `Usage: npm run chaos -- [--seconds S | --requests N] [--seed N] [--clients N] [--workers N]
                        [--faults KIND,KIND,…] [--kill-every-ms MS] [--deadline-ms MS]
                        [--target ${Object.keys(targets).join('|')}] [--keep-logs]
       npm run chaos -- --jobs N [--seed N] [--clients N] …

Puts a service under load while it kills, stops, cuts off and poisons parts of it. At the end it prints a table,
and the same figures as one line of JSON. It exits with 1 if any request was lost, answered wrongly, answered
twice or never answered, or if the service is not well afterwards.

With --jobs, it submits so many jobs instead, and cancels half of them, while workers are killed.`;

const killEveryMs = 2000;
const deadlineMs = 15_000;
/** The queue of all jobs may be long. */
const jobDeadlineMs = 1_800_000;
const jobFaults: readonly FaultKind[] = ['kill'];

await runSeeded('chaos', usage, async (directory) => {
  const options = readOptions();
  const { seed, keepLogs } = options;
  say(`Seed ${seed}, ${options.clients} clients, faults: ${options.kinds.join(', ')}.`);
  const target = await options.start({ directory, ...options });
  return { isPassed: await runAndPrint(target, options), seed, keepLogs };
});

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
  const { values } = parseArguments({
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
    seconds: toCount('seconds', values.seconds),
    requests: values.requests === undefined ? undefined : toCount('requests', values.requests),
    seed: toCount('seed', values.seed),
    clients: toCount('clients', values.clients),
    workers: toCount('workers', values.workers),
    // A kind that the target cannot have is refused, since it would be left out silently.
    kinds:
      values.faults === undefined
        ? jobs === undefined
          ? target.defaultFaults
          : jobFaults
        : readNames('faults', values.faults, target.faults),
    killEveryMs: toCount(
      'kill-every-ms',
      values['kill-every-ms'] ?? String(killEveryMs * target.stretch),
    ),
    stretch: target.stretch,
    jobs: jobs === undefined ? undefined : toCount('jobs', jobs),
    deadlineMs: toCount(
      'deadline-ms',
      values['deadline-ms'] ?? String(jobs === undefined ? deadlineMs : jobDeadlineMs),
    ),
    keepLogs: values['keep-logs'],
    say,
  };
}
