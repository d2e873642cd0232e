// A thread in the place of the engine's, which ends when it is to run something.

import process from 'node:process';
import { parentPort } from 'node:worker_threads';

parentPort?.on('message', ({ type, session }) => {
  if (type !== 'open') process.exit(1);
  parentPort?.postMessage({ type: 'ready', session, inputs: [], outputs: [] });
});
