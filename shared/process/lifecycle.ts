// The life of a process. A main.ts starts it. A signal, the end of its parent, or an unexpected
// error ends it. Whatever the reason, `close` runs once, and the process is killed if its end takes
// more than a second longer than SHUTDOWN_MS. A second signal kills it at once.

import { setTimeout as delay } from 'node:timers/promises';
import {
  type Configurations,
  findMisspeltSettings,
  type Role,
  readConfiguration,
  redact,
} from '../configuration/configuration.js';
import { coerceError, type ErrorCode, ScorelineError } from '../errors.js';
import { openTelemetry } from '../telemetry/open.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { optimiseEarly } from './early-optimisation.js';
import { type Logger, makeLogger } from './log.js';
import { whenParentIsGone } from './parent.js';

/**
 * How long a start under way may take to end. A model cannot stop loading halfway. A program has a second, and the
 * files of packages that were being installed take a second or two to remove.
 */
const startEndsMsMax = 3000;
/**
 * A signal that repeats the first one sooner than this is the same one: npm passes SIGINT on to a
 * process that already has it from the terminal.
 */
export const sameSignalMs = 500;
/**
 * Tells a process that its parent prints why it could not start, and which models cannot be served, so the process
 * need not.
 */
export const parentReports = '--parent-reports';

export interface Running {
  /** Sent to the parent process once everything is up. */
  readonly report: Record<string, unknown>;
  /** Sends clients elsewhere while the service still serves them. Called before an orderly end. */
  leave?(): Promise<void>;
  close(): Promise<void>;
}

/** What a start needs to know about the end of its process. */
export interface Ending {
  /** Is aborted when the process must end. A start that waits for something should then reject. */
  readonly signal: AbortSignal;
  /** Kills the process at once, when it cannot shut down in order. */
  abandon(reason: string): void;
  /** Whether the parent prints which models cannot be read. */
  readonly isReported?: boolean | undefined;
  /** Undefined if the configuration asks for none. */
  readonly telemetry?: Telemetry | undefined;
  /** Undefined if the process was not forked, as in an image. */
  readonly parent?: Parent | undefined;
}

/** The process that has forked this one, over the IPC channel. */
export interface Parent {
  send(message: ChildMessage): void;
  listen(listener: (message: ParentMessage) => void): void;
}

/** A worker of a local run. */
export interface LocalWorker {
  readonly pid: number;
  /** Whether its models are warm. */
  readonly isReady: boolean;
}

/** A message from `npm start` to its API: all workers, whenever they change. */
export interface ParentMessage {
  readonly event: 'workers';
  readonly workers: readonly LocalWorker[];
}

/** A message from a child to its parent, over the IPC channel. */
export type ChildMessage =
  | { readonly event: 'kill-worker'; readonly pid: number }
  | ({ readonly event: 'ready' } & Record<string, unknown>)
  | { readonly event: 'failed'; readonly code: ErrorCode | undefined; readonly detail: string };

type Start<R extends Role> = (
  configuration: Configurations[R],
  log: Logger,
  ending: Ending,
) => Promise<Running>;

/**
 * Runs a role until it ends. Only main.ts touches the global process, so it passes it in. Telemetry is opened
 * before `start` is called, which imports the rest of the role.
 */
export async function live<R extends Role>(
  process: NodeJS.Process,
  role: R,
  start: Start<R>,
): Promise<void> {
  let configuration: Configurations[R];
  let telemetry: Telemetry | undefined;
  let log: Logger;
  try {
    configuration = readConfiguration(role, process.env);
    telemetry = await openTelemetry(role, configuration, process.env);
    log = makeLogger({ role, level: configuration.LOG_LEVEL, send: telemetry?.sendLine });
    telemetry?.reportTo(log);
  } catch (thrown) {
    await reportFailure(process, thrown, (detail) => process.stderr.write(`${detail}\n`));
    process.exit(1);
  }

  logWarnings(process, log);
  log.info({ configuration: redact(configuration) }, 'starting');
  for (const { given, meant } of findMisspeltSettings(process.env)) {
    log.warn(`${given} is no setting, and is ignored. Did you mean ${meant}?`);
  }
  const ended = new AbortController();
  const abandon = (reason: string) => {
    log.fatal({ reason }, 'leaving at once');
    kill(process);
  };
  const parent = parentOf(process);
  const isReported = process.argv.includes(parentReports);
  const ending: Ending = { signal: ended.signal, abandon, telemetry, isReported, parent };
  const starting = start(configuration, log, ending);
  handleEnd(process, { log, shutdownMs: configuration.SHUTDOWN_MS, starting, ended, telemetry });
  try {
    const running = await starting;
    // Not before, because it made the start a quarter longer.
    optimiseEarly();
    const message: ChildMessage = { event: 'ready', ...running.report };
    process.send?.(message);
  } catch (thrown) {
    if (ended.signal.aborted) return;
    await reportFailure(process, thrown, (detail, { code, err }) => {
      // Also without a log, users want to know why there is no service.
      if (log.isLevelEnabled('fatal')) log.fatal(code ? { code } : { err }, detail);
      else process.stderr.write(`${detail}\n`);
    });
    await telemetry?.close();
    process.exit(1);
  }
}

/** Node writes its warnings as text between the lines of the log. Here, they are lines, too. */
function logWarnings(process: NodeJS.Process, log: Logger): void {
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log.warn({ err: warning }, 'Node warns'));
}

function parentOf(process: NodeJS.Process): Parent | undefined {
  if (!process.send) return undefined;
  return {
    send: (message) => void process.send?.(message),
    listen: (listener) => process.on('message', (message) => listener(message as ParentMessage)),
  };
}

/** Tells the parent why the start failed. Prints it unless the parent does that. */
async function reportFailure(
  process: NodeJS.Process,
  thrown: unknown,
  print: (detail: string, error: { code: ErrorCode | undefined; err: Error }) => void,
): Promise<void> {
  const err = coerceError(thrown);
  const code = err instanceof ScorelineError ? err.code : undefined;
  const detail = code ? err.message : `unexpected: ${err.message}`;
  if (!process.argv.includes(parentReports)) print(detail, { code, err });
  const message: ChildMessage = { event: 'failed', code, detail };
  // `exit` does not wait for a message on its way.
  await new Promise<void>((resolve) => {
    if (process.send) process.send(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

/** Ends the process now. `exit` would wait for an engine thread that is inside a run. */
function kill(process: NodeJS.Process): void {
  process.kill(process.pid, 'SIGKILL');
}

function handleEnd(
  process: NodeJS.Process,
  life: {
    log: Logger;
    shutdownMs: number;
    starting: Promise<Running>;
    ended: AbortController;
    telemetry: Telemetry | undefined;
  },
): void {
  const { log, shutdownMs, starting, ended, telemetry } = life;
  let endingSinceMs: number | undefined;

  const end = async (reason: string, exitCode: number) => {
    if (endingSinceMs !== undefined) return;
    endingSinceMs = performance.now();
    log.info({ reason }, 'shutting down');
    ended.abort(new Error('The process is shutting down.'));
    setTimeout(() => {
      log.error({ shutdownMs }, 'not done within SHUTDOWN_MS; leaving now');
      kill(process);
    }, shutdownMs + 1000).unref();
    try {
      const running = await Promise.race([
        starting.catch(() => undefined),
        delay(startEndsMsMax, 'still starting' as const),
      ]);
      if (running === 'still starting') return kill(process);
      if (exitCode === 0) await running?.leave?.();
      await running?.close();
      await telemetry?.close();
      process.exit(exitCode);
    } catch (error) {
      log.error({ err: error }, 'shutting down failed');
      await telemetry?.close();
      process.exit(1);
    }
  };

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (endingSinceMs === undefined) return void end(signal, 0);
      if (performance.now() - endingSinceMs < sameSignalMs) return;
      log.warn({ reason: `a second ${signal}` }, 'leaving at once');
      kill(process);
    });
  }
  // A child of `npm start` must not outlive it, even if `npm start` is killed outright.
  whenParentIsGone(process, () => void end('the parent is gone', 0));
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, 'unexpected error');
      void end('unexpected error', 1);
    });
  }
}
