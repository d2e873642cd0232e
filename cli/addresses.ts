// Addresses in the options of commands.

import process from 'node:process';
import { wrong } from './faults.js';

/** Where a service of this machine is, as `npm start` starts it. */
export const localAddress = `http://localhost:${process.env.PORT || 8080}`;

/** What to do if nothing answers at the address of `--url`. */
export const absentAdvice = 'Start the service there (npm start), or name its address with --url.';

/** @throws ScorelineError `configuration_invalid` */
export function toUrl(option: string, given: string): string {
  const { protocol } = URL.canParse(given) ? new URL(given) : { protocol: '' };
  if (/^https?:$/.test(protocol)) return given;
  throw wrong(
    `--${option}: expected an address such as https://scoreline.example.com; got ${given || 'nothing'}`,
  );
}
