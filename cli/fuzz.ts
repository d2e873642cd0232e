// Sends mutated requests to a service.

import process from 'node:process';
import { fuzz } from '../fuzz/run.js';
import { formatSummary, isPassed } from '../fuzz/tally.js';
import { parseArguments } from './arguments.js';
import { toCount } from './numbers.js';
import { runSeeded, say } from './seeded/run.js';

const usage = `Usage: npm run fuzz -- [--requests N] [--seconds S] [--seed N] [--clients N] [--keep-logs]

Sends mutated requests to all routes of a real API with a real worker, and judges every answer. At the end it
prints a table, and the same figures as one line of JSON. It exits with 1 if any answer was not as it should be,
or if the service is not well afterwards.`;

await runSeeded('fuzz', usage, async (directory) => {
  const { keepLogs, ...options } = readOptions();
  const { seed } = options;
  say(`Seed ${seed}, ${options.clients} clients, ${options.requests} requests.`);
  const summary = await fuzz({ ...options, directory, say });
  process.stdout.write(`${formatSummary(summary)}\n${JSON.stringify(summary)}\n`);
  return { isPassed: isPassed(summary), seed, keepLogs };
});

function readOptions() {
  const { values } = parseArguments({
    options: {
      requests: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '900' },
      seed: { type: 'string', default: '7' },
      clients: { type: 'string', default: '32' },
      'keep-logs': { type: 'boolean', default: false },
    },
  });
  return {
    requests: toCount('requests', values.requests),
    seconds: toCount('seconds', values.seconds),
    seed: toCount('seed', values.seed),
    clients: toCount('clients', values.clients),
    keepLogs: values['keep-logs'],
  };
}
