// A caller that floods, in a process of its own: each of N clients sends its next request as soon as it
// has the answer to the last one, whatever that says. Its parent sends what to flood with, and later `stop`. It
// then gets the numbers of answers by status.

import process from 'node:process';
import { whenParentIsGone } from '../shared/process/parent.js';
import { encodeRequest, makeClient } from './client.js';

export interface FloodOptions {
  readonly port: number;
  readonly pathname: string;
  readonly clients: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

let statuses: Record<number, number> = {};
let isFlooding = false;

async function flood(port: number, request: Buffer): Promise<void> {
  const client = makeClient(port);
  while (isFlooding) {
    const { status } = await client.ask(request);
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
  client.close();
}

process.on('message', async (message: FloodOptions | 'stop') => {
  isFlooding = message !== 'stop';
  if (message === 'stop') return;
  statuses = {};
  const { port, clients } = message;
  const request = encodeRequest(message);
  await Promise.all(Array.from({ length: clients }, () => flood(port, request)));
  process.send?.(statuses);
});
whenParentIsGone(process, () => process.exit());
