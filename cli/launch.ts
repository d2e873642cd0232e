// The entry point of the images: `node dist/cli/launch.js api | worker`. It sizes V8's heap to the
// container's memory limit, and turns into the role: the process stays the same one, so signals
// reach it and no second Node takes memory.

import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { availableMemory, heapArguments, setsHeapSizes } from './heap.js';

/** Node has it since 22.15; the types are of the oldest Node that we support. */
type Execve = (file: string, parameters: readonly string[], environment: NodeJS.ProcessEnv) => void;

const role = process.argv[2];
const { execve } = process as unknown as { execve?: Execve };
if (role !== 'api' && role !== 'worker') {
  process.stderr.write(`Usage: launch.js api | worker; got ${role ?? 'nothing'}.\n`);
  process.exitCode = 1;
} else if (!execve) {
  process.stderr.write(`launch.js needs Node 22.15 or later; this is ${process.version}.\n`);
  process.exitCode = 1;
} else {
  const main = fileURLToPath(new URL(`../${role}/main.js`, import.meta.url));
  const sizes = setsHeapSizes(process.env) ? [] : heapArguments(availableMemory());
  execve(process.execPath, [process.execPath, ...sizes, main], process.env);
}
