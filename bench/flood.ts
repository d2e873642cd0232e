// A caller that floods, in a process of its own: each of N clients sends its next request as soon as it
// has the answer to the last one, whatever that says. Its parent starts and stops it by messages, and
// gets the numbers of answers by status.

import process from 'node:process';
import { encodeRequest, makeClient } from './client.js';

const [port = '', pathname = '', clients = '', key = '', body = ''] = process.argv.slice(2);
const request = encodeRequest({ pathname, body, headers: { 'X-API-Key': key } });
let statuses: Record<number, number> = {};
let isFlooding = false;

async function flood(): Promise<void> {
  const client = makeClient(Number(port));
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
  await Promise.all(Array.from({ length: Number(clients) }, flood));
  process.send?.(statuses);
});
process.on('disconnect', () => process.exit());
