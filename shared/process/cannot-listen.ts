import { ScorelineError } from '../errors.js';

/** Where a process was to listen. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** The key of the configuration that says the port. */
  readonly key: string;
}

/** Returns the host for Node. Without one, it listens at `::`, and where the machine has no IPv6, at `0.0.0.0`. */
export function hostFor(host: string | undefined): string | undefined {
  return host === '::' ? undefined : host;
}

/** Returns why a process cannot listen, and what to do, as `configuration_invalid`. */
export function cannotListen(
  { code }: NodeJS.ErrnoException,
  { host, port, key }: ListenAddress,
): ScorelineError {
  const isTaken = code === 'EADDRINUSE';
  const detail =
    isTaken || code === 'EACCES'
      ? `${key}: expected a port that this process can listen on at ${host}; got ${port} (${code}). ${isTaken ? 'Another process has it' : 'Ports below 1024 are for root'}. Choose another, as in ${key}=8081.`
      : `HOST: expected an address of this machine; got ${host} (${code}). Choose 127.0.0.1, or :: for all of them.`;
  return new ScorelineError('configuration_invalid', detail);
}
