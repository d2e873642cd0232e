// The life of a process. A main.ts starts it. A signal, the end of its parent, or an unexpected
// error ends it. Whatever the reason, `close` runs once, and the process is killed if `close` takes
// more than a second longer than SHUTDOWN_MS.

import { setTimeout as delay } from 'node:timers/promises';
import { type Configurations, type Role, readConfiguration, redact } from './configuration.js';
import { coerceError, ScorelineError } from './errors.js';
import { type Logger, makeLogger } from './log.js';

const startFinishesMsMax = 3000;

export interface Running {
  /** Sent to the parent process once everything is up. */
  readonly report: Record<string, unknown>;
  close(): Promise<void>;
}

/** A message from a child to its parent, over the IPC channel. */
export type ChildMessage =
  | ({ readonly event: 'ready' } & Record<string, unknown>)
  | { readonly event: 'failed'; readonly detail: string };

type Start<R extends Role> = (
  configuration: Configurations[R],
  log: Logger,
  /** Kills the process at once, when it cannot shut down in order. */
  abandon: (reason: string) => void,
) => Promise<Running>;

/** Runs a role until it ends. Only main.ts touches the global process, so it passes it in. */
export async function live<R extends Role>(
  process: NodeJS.Process,
  role: R,
  start: Start<R>,
): Promise<void> {
  const tellParent = (message: ChildMessage) => process.send?.(message);
  let configuration: Configurations[R];
  let log: Logger;
  try {
    configuration = readConfiguration(role, process.env);
    log = makeLogger({ role, level: configuration.LOG_LEVEL });
  } catch (thrown) {
    const { message } = coerceError(thrown);
    if (!tellParent({ event: 'failed', detail: message })) process.stderr.write(`${message}\n`);
    process.exit(1);
  }

  log.info({ configuration: redact(configuration) }, 'starting');
  const starting = start(configuration, log, (reason) => {
    log.fatal({ reason }, 'leaving at once');
    process.kill(process.pid, 'SIGKILL');
  });
  handleEnd(process, log, configuration.SHUTDOWN_MS, starting);
  try {
    const running = await starting;
    tellParent({ event: 'ready', ...running.report });
  } catch (thrown) {
    const error = coerceError(thrown);
    const detail = error instanceof ScorelineError ? error.message : `unexpected: ${error.message}`;
    log.fatal(error instanceof ScorelineError ? { code: error.code } : { err: error }, detail);
    tellParent({ event: 'failed', detail });
    process.exit(1);
  }
}

function handleEnd(
  process: NodeJS.Process,
  log: Logger,
  shutdownMs: number,
  starting: Promise<Running>,
): void {
  let ending = false;

  const end = async (reason: string, exitCode: number) => {
    if (ending) return;
    ending = true;
    log.info({ reason }, 'shutting down');
    setTimeout(() => {
      log.error({ shutdownMs }, 'not done within SHUTDOWN_MS; leaving now');
      // `exit` would wait for an engine thread that is inside a run.
      process.kill(process.pid, 'SIGKILL');
    }, shutdownMs + 1000).unref();
    try {
      // Let a start under way finish, because a model cannot stop loading halfway. The time limit
      // is for a start that waits for Redis, which could take forever.
      const running = await Promise.race([starting, delay(startFinishesMsMax, undefined)]);
      await running?.close();
      process.exit(exitCode);
    } catch (error) {
      log.error({ err: error }, 'shutting down failed');
      process.exit(1);
    }
  };

  process.on('SIGTERM', () => void end('SIGTERM', 0));
  process.on('SIGINT', () => void end('SIGINT', 0));
  // A child of `npm start` must not outlive it, even if `npm start` is killed outright.
  process.on('disconnect', () => void end('the parent is gone', 0));
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, 'unexpected error');
      void end('unexpected error', 1);
    });
  }
}
