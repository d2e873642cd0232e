// `npm run bench -- NAME [OPTION …]`

import process from 'node:process';

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
const name = process.argv[2] ?? '';
if (!benchmarks.includes(name)) {
  process.stderr.write(`Usage: npm run bench -- ${benchmarks.join(' | ')}\n`);
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
