// Is loaded into a process that is measured (alive.ts). On SIGUSR2 it collects garbage, and writes how many bytes are
// alive.

import { renameSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

process.on('SIGUSR2', () => {
  collectGarbage();
  // Objects with finalisers are freed by the next collection.
  setImmediate(() => {
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const file = `${process.env.MEMORY_PROBE}-${process.pid}`;
    writeFileSync(`${file}.new`, String(heapUsed + arrayBuffers));
    renameSync(`${file}.new`, file);
  });
});
