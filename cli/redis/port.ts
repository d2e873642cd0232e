// Where the private Redis of this clone is, while `npm start` runs it (private-redis.ts).

import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../../shared/version.js';

/** Returns its URL, or undefined if `npm start` does not run or uses another Redis. */
export function findPrivateRedis(): string | undefined {
  const directory = path.resolve(packageDirectory(), process.env.DATA_DIR || 'data', 'redis');
  try {
    return `redis://127.0.0.1:${Number(readFileSync(path.join(directory, 'port'), 'utf8'))}`;
  } catch {
    return undefined;
  }
}
