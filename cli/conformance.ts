// Runs the ONNX project's backend tests (conformance/run.ts).

import process from 'node:process';
import { collectCases, readCases } from '../conformance/cases.js';
import { runConformance } from '../conformance/run.js';
import { parseArguments } from './arguments.js';
import { describeFault, helpIfAsked } from './command.js';
import { makeTemporary } from './temporary.js';

const usage = `Usage: npm run conformance -- [--only PART OF A NAME]

Serves the ONNX project's backend tests and compares each answer with that of bare onnxruntime-node. At the end
it prints the counts, and the same figures as one line of JSON. It exits with 1 if any answer differs. The first
run needs Python 3.11 to collect the tests.`;

const say = (line: string) => process.stderr.write(`${line}\n`);
helpIfAsked(usage);
const directory = makeTemporary('conformance');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // Exiting is enough: what was started ends with this process.
  process.on(signal, () => process.exit(1));
}

try {
  const { values } = parseArguments({ options: { only: { type: 'string', default: '' } } });
  const cases = readCases(collectCases()).filter(({ name }) => name.includes(values.only));
  const tally = await runConformance(cases, directory, say);
  for (const line of tally.details()) say(line);
  process.stdout.write(`${tally.summary()}\n${JSON.stringify(tally.figures)}\n`);
  process.exit(tally.isPassed ? 0 : 1);
} catch (error) {
  say(describeFault(error, usage));
  process.exit(1);
}
