// Lets V8 optimise functions after fewer calls than by default (docs/design.md, decision 42).

import process from 'node:process';
import { setFlagsFromString } from 'node:v8';

const laterFlags = [
  '--invocation-count-for-maglev=40',
  '--invocation-count-for-turbofan=300',
  '--minimum-invocations-after-ic-update=50',
];

/**
 * By the major version of V8. V8 11 (Node 20) goes by the bytecode that a function has run; V8 12 to 14
 * (Node 22 to 26) go by its calls, too. Other versions are left alone: V8 promises nothing about these names.
 */
const flags: Readonly<Record<string, readonly string[]>> = {
  '11': ['--interrupt-budget=10000'],
  '12': laterFlags,
  '13': laterFlags,
  '14': laterFlags,
};

/**
 * Makes V8 optimise what runs from now on earlier. V8's defaults suit pages, where most functions run a few times.
 * A service runs the same few for every request, and one that gets ten requests a second would take minutes to
 * become fast.
 */
export function optimiseEarly(): void {
  const [major = ''] = process.versions.v8.split('.');
  for (const flag of flags[major] ?? []) setFlagsFromString(flag);
}
