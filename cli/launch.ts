// The entry point of the images: `node dist/cli/launch.js api | worker`. It sizes V8's heap to the
// container's memory limit and Node's thread pool to the cores, has freed memory go back, and turns into the role: the process
// stays the same one, so signals reach it and no second Node takes memory.
//
// A container that exceeds its limit is killed without a word (status 137), so a limit that is too
// low is reported here. One in which the role cannot start at all is refused: V8's own report of its
// end is so long that a cluster would cut off the line that says why.

import process from 'node:process';
import { memoryLimitBytes } from '../shared/process/memory-limit.js';
import { mainOf } from '../shared/process/programs.js';
import { mebibytesToStart } from '../shared/process/start-memory.js';
import { withRuntimeSettings } from './processes/environment.js';
import { heapArguments, setsHeapSizes } from './processes/heap.js';

/** Node has it since 22.15; the types are of the oldest Node that we support. */
type Execve = (file: string, parameters: readonly string[], environment: NodeJS.ProcessEnv) => void;

/** With the included models, a worker took 350 MB and an API 85 MB, before any load. */
const megabytesMin = { api: 256, worker: 512 };

const [role, ...others] = process.argv.slice(2);
const { execve } = process as unknown as { execve?: Execve };
if ((role !== 'api' && role !== 'worker') || others.length > 0) {
  const got = [role ?? 'nothing', ...others].join(' ');
  process.stderr.write(`Usage: launch.js api | worker; got ${got}.\n`);
  process.exitCode = 1;
} else if (!execve) {
  process.stderr.write(`launch.js needs Node 22.15 or later; this is ${process.version}.\n`);
  process.exitCode = 1;
} else {
  const main = mainOf(role);
  const memoryBytes = memoryLimitBytes();
  const megabytes = Math.floor(memoryBytes / 1024 ** 2);
  if (megabytes < megabytesMin[role]) {
    const cannotStart = megabytes < mebibytesToStart[role];
    process.stderr.write(
      `Memory: expected at least ${megabytesMin[role]} MB for the ${role}; got ${megabytes} MB. ${cannotStart ? 'It cannot start' : 'It may be killed with status 137'}; raise the memory limit.\n`,
    );
    if (cannotStart) process.exit(1);
  }
  const sizes = setsHeapSizes(process.env) ? [] : heapArguments(memoryBytes);
  execve(process.execPath, [process.execPath, ...sizes, main], withRuntimeSettings(process.env));
}
