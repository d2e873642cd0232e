// The failures of a run: each is told with the request that causes it, which is also written to a file.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Shot } from './draft.js';

export interface Failures {
  readonly count: number;
  add(failure: { fault: string; shot: Shot; replay: string }): void;
}

/** Each failure takes the time of its smaller requests, so a run with many of them tells the first ones. */
const toldMax = 20;
const shownBytes = 600;

export function makeFailures(options: {
  directory: string;
  say: (line: string) => void;
}): Failures {
  let count = 0;
  return {
    get count() {
      return count;
    },
    add({ fault, shot, replay }) {
      count++;
      if (count > toldMax) return;
      const file = path.join(options.directory, `failure-${count}.http`);
      writeFileSync(file, shot.bytes);
      const shown = JSON.stringify(shot.bytes.toString('latin1', 0, shownBytes));
      options.say(`FAILURE ${count} (${shot.kind}, ${replay}): ${fault}`);
      options.say(`  ${shown}${shot.bytes.length > shownBytes ? ' …' : ''}`);
      options.say(`  The request is in ${file}.`);
    },
  };
}
