// What a Redis for tests has to do, be it a process or a container.

/** A server that always listens on the same port of 127.0.0.1. */
export interface TestServer {
  /** Starts it, with its data if it ran before. It may not be listening yet. */
  start(): Promise<void>;
  /** Does nothing if it does not run. */
  stop(signal: NodeJS.Signals): Promise<void>;
  /** Sends a signal that does not end it. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Deletes the data of a server that does not run. */
  empty(): Promise<void>;
}

export type MakeTestServer = (options: {
  port: number;
  /** Of redis-server, beside the port and the folder. */
  parameters: readonly string[];
}) => TestServer;
