import { once } from 'node:events';
import type { Server } from 'node:net';
import { ScorelineError } from '../errors.js';

/** Where a process listens. */
export interface ListenAddress {
  /** All addresses of the machine if undefined. */
  readonly host?: string | undefined;
  readonly port: number;
  /** The key of the configuration that says the port. */
  readonly key: string;
}

/** @throws ScorelineError `configuration_invalid` when the port cannot be used */
export async function listen(server: Server, address: ListenAddress): Promise<void> {
  const { host, port } = address;
  // Without a host, Node listens at `::`, and where the machine has no IPv6, at `0.0.0.0`.
  // Node accepts one connection per turn of its loop. In a busy moment, the default backlog of 511 fills
  // and Linux drops connections. Their clients try again only after one second, then three.
  server.listen({ port, host: host === '::' ? undefined : host, backlog: 4096 });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw cannotListen(error as NodeJS.ErrnoException, address);
  }
}

/** Says why a process cannot listen, and what to do. */
function cannotListen(
  { code }: NodeJS.ErrnoException,
  { host = 'all addresses', port, key }: ListenAddress,
): ScorelineError {
  const isTaken = code === 'EADDRINUSE';
  const detail =
    isTaken || code === 'EACCES'
      ? `${key}: expected a port that this process can listen on at ${host}; got ${port} (${code}). ${isTaken ? 'Another process has it' : 'Ports below 1024 are for root'}. Choose another, as in ${key}=8081.`
      : `HOST: expected an address of this machine; got ${host} (${code}). Choose 127.0.0.1, or :: for all of them.`;
  return new ScorelineError('configuration_invalid', detail);
}
