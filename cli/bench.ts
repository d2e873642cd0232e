// Runs a benchmark.

import process from 'node:process';
import { helpIfAsked } from './command.js';
import { misused } from './faults.js';

const benchmarks = [
  'queue',
  'engine',
  'flask',
  'overload',
  'compare',
  'keys',
  'fairness',
  'priority',
  'timing',
  'peers',
  'redis',
  'cost',
  'start',
  'workers',
  'many-models',
  'tensors',
  'json',
  'versions',
  'sampling',
  'soak',
];
const usage = `Usage: npm run bench -- NAME [OPTION …]

The names: ${benchmarks.join(', ')}.
docs/benchmarks.md says what each of them measures, with which options.`;

helpIfAsked(usage);
const name = process.argv[2] ?? '';
if (!benchmarks.includes(name)) {
  process.stderr.write(`${misused(process.argv.slice(2), usage).message}\n`);
  process.exit(1);
}
process.argv.splice(2, 1);
try {
  await import(`../bench/${name}.js`);
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  if (!code?.startsWith('ERR_PARSE_ARGS') && code !== 'configuration_invalid') throw error;
  process.stderr.write(`${message}\nThe options of ${name} are in docs/benchmarks.md.\n`);
  process.exit(1);
}
