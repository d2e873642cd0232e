// The health check of the images: `node dist/cli/probe.js api | worker`. It asks the process whether
// it is ready, prints the answer, and exits with 0 if it is.

import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import process from 'node:process';
import { text } from 'node:stream/consumers';

const { PORT, PROBE_PORT } = process.env;
const addresses: Readonly<Record<string, string>> = {
  api: `http://127.0.0.1:${PORT || 8080}/v2/health/ready`,
  worker: `http://127.0.0.1:${PROBE_PORT || 8081}/readyz`,
};
const withinMs = 2000;

const role = process.argv[2] ?? '';
process.exitCode = (await isReady(addresses[role])) ? 0 : 1;

async function isReady(address: string | undefined): Promise<boolean> {
  try {
    if (address === undefined) throw new Error(`Usage: probe.js api | worker; got ${role}.`);
    // With `fetch` or the agent of all requests, Node would ask the proxy of NODE_USE_ENV_PROXY.
    const request = get(address, { agent: false, signal: AbortSignal.timeout(withinMs) });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    process.stdout.write(`${response.statusCode} ${(await text(response)).trim()}\n`);
    return response.statusCode === 200;
  } catch (error) {
    process.stdout.write(`${address}: ${String((error as Error).cause ?? error)}\n`);
    return false;
  }
}
