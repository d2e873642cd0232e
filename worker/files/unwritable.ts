// Faults of a disk that files are written to. Unlike after a fault of the network, another attempt or address would not
// help.

import path from 'node:path';
import { ScorelineError } from '../../shared/errors.js';

const remedies: Readonly<Record<string, string>> = {
  ...{ ENOSPC: 'Make room there.', EDQUOT: 'Make room there.' },
  EROFS: 'Mount a volume there that can be written to.',
  EACCES: 'Let the user of this process write there (user 1000 in the images).',
  EPERM: 'Let the user of this process write there (user 1000 in the images).',
};

/** Returns why a file could not be written, with what to do; undefined if something else was thrown. */
export function unwritable(file: string, thrown: unknown): ScorelineError | undefined {
  const { code = '', message } = thrown as NodeJS.ErrnoException;
  const remedy = remedies[code];
  if (remedy === undefined) return undefined;
  return new ScorelineError(
    'download_failed',
    `Expected a folder for downloads that can be written to at ${path.dirname(file)}; got ${message}. ${remedy}`,
    { cause: thrown },
  );
}
