// Sets the clock of a process: NODE_OPTIONS=--import loads this file into it before anything else.
// TEST_CLOCK_AHEAD_MS says how far the clock is ahead of the real one. If the file that
// TEST_CLOCK_SET names exists, the clock is right again.

import { existsSync } from 'node:fs';
import process from 'node:process';

const aheadMs = Number(process.env.TEST_CLOCK_AHEAD_MS);
const setFile = process.env.TEST_CLOCK_SET as string;
const realNow = Date.now.bind(Date);
let isRight = false;

setInterval(() => {
  isRight = existsSync(setFile);
}, 100).unref();
Date.now = () => realNow() + (isRight ? 0 : aheadMs);
globalThis.Date = new Proxy(Date, {
  construct: (target, given) =>
    Reflect.construct(target, given.length > 0 ? given : [target.now()]),
});
