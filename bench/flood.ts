// A caller that floods, in a process of its own: each of N clients sends its next request as soon as it
// has the answer to the last one, whatever that says. Its parent starts and stops it by messages, and
// gets the numbers of answers by status.

import process from 'node:process';
import { encodeRequest, makeClient } from './client.js';

export interface FloodOptions {
  readonly port: number;
  readonly pathname: string;
  readonly clients: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const options: FloodOptions = JSON.parse(process.argv[2] as string);
const request = encodeRequest(options);
let statuses: Record<number, number> = {};
let isFlooding = false;

async function flood(): Promise<void> {
  const client = makeClient(options.port);
  while (isFlooding) {
    const { status } = await client.ask(request);
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
  client.close();
}

process.on('message', async (message: 'start' | 'stop') => {
  isFlooding = message === 'start';
  if (!isFlooding) return;
  statuses = {};
  await Promise.all(Array.from({ length: options.clients }, flood));
  process.send?.(statuses);
});
process.on('disconnect', () => process.exit());
