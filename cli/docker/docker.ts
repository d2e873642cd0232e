// Docker by its command line, so the engine is whichever `docker` uses here.

import { type ExecFileException, execFile } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';

/** An engine that takes longer for one command is stuck. */
const commandMsMax = 120_000;

/** Runs `docker` and resolves to what it prints. Rejects with what it says is wrong. */
export function docker(...parameters: string[]): Promise<string> {
  return call(['docker', ...parameters], { name: `docker ${parameters[0]}`, msMax: commandMsMax });
}

/** Returns why no container can be run here, or undefined if one can. */
export async function findDockerProblem(): Promise<string | undefined> {
  try {
    await docker('version', '--format', '{{.Server.Version}}');
    return undefined;
  } catch (error) {
    return `Expected a Docker engine; got: ${(error as Error).message}`;
  }
}

/** Whether an image is on this machine. */
export function hasImage(image: string): Promise<boolean> {
  return docker('image', 'inspect', '--format', '{{.Id}}', image).then(
    () => true,
    () => false,
  );
}

/** Runs a program and resolves to what it prints. */
export async function call(
  [program, ...parameters]: readonly [string, ...string[]],
  options: {
    /** How an error names what was run. */
    name: string;
    environment?: NodeJS.ProcessEnv;
    msMax?: number;
  },
): Promise<string> {
  const { name, environment = process.env, msMax = 0 } = options;
  try {
    const { stdout } = await promisify(execFile)(program, parameters, {
      env: environment,
      timeout: msMax,
      maxBuffer: 64 * 1024 ** 2,
    });
    return stdout;
  } catch (error) {
    const { code, killed, stderr, message } = error as ExecFileException & { stderr?: string };
    if (String(code) === 'ENOENT') throw new Error(`there is no command ${program} here`);
    const reason = killed ? `it took more than ${msMax / 1000} s` : stderr?.trim() || message;
    throw new Error(`${name} failed: ${reason}`);
  }
}
