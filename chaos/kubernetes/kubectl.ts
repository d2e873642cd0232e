// The cluster, by kubectl: it knows where the cluster is and how to log in, and people use it too.

import { execFile, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const outputBytesMax = 64 * 1024 ** 2;
const answersWithin = '10s';

export interface Kubectl {
  readonly namespace: string;
  /** Runs a command in the namespace and resolves to what it prints. */
  run(...parameters: string[]): Promise<string>;
  /** Like `run`, with a text as standard input. Resolves to warnings as well. */
  feed(text: string, ...parameters: string[]): Promise<{ printed: string; warned: string }>;
  /** Reads one object or a list of them. */
  read<T>(...parameters: string[]): Promise<T>;
  /** Starts a command that does not end by itself. It ends with this process, or when it is told to. */
  follow(parameters: readonly string[], onLine: (line: string) => void): { close(): void };
}

export function makeKubectl(namespace: string): Kubectl {
  const within = (parameters: readonly string[]) => ['--namespace', namespace, ...parameters];
  const run: Kubectl['run'] = async (...parameters) => (await call(within(parameters))).printed;
  return {
    namespace,
    run,
    feed: (text, ...parameters) => call(within(parameters), text),
    read: async (...parameters) => JSON.parse(await run(...parameters, '--output=json')),
    follow(parameters, onLine) {
      const child = spawn('kubectl', within(parameters), { stdio: ['ignore', 'pipe', 'ignore'] });
      createInterface(child.stdout).on('line', onLine);
      child.on('error', () => {});
      const close = () => void child.kill('SIGKILL');
      process.once('exit', close);
      child.once('exit', () => process.off('exit', close));
      return { close };
    },
  };
}

/** Returns why there is no cluster to use, or undefined if there is one. */
export async function findClusterProblem(): Promise<string | undefined> {
  try {
    await call(['get', '--raw', '/version', `--request-timeout=${answersWithin}`]);
    return undefined;
  } catch (error) {
    return `expected a cluster that kubectl reaches (see KUBECONFIG); ${(error as Error).message}`;
  }
}

/** Runs a command while this process exits, when nothing can be awaited. */
export function runAtExit(...parameters: string[]): void {
  spawnSync('kubectl', parameters, { stdio: 'ignore' });
}

async function call(
  parameters: readonly string[],
  input?: string,
): Promise<{ printed: string; warned: string }> {
  const running = promisify(execFile)('kubectl', parameters, { maxBuffer: outputBytesMax });
  running.child.stdin?.end(input);
  try {
    const { stdout, stderr } = await running;
    return { printed: stdout, warned: stderr };
  } catch (error) {
    const { code, stderr, message } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === 'ENOENT') throw new Error('there is no command kubectl here');
    throw new Error(`kubectl ${parameters.join(' ')} failed: ${stderr?.trim() || message}`);
  }
}
