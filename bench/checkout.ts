// Another commit of this repository, checked out into a temporary folder and built there, so its
// processes can be started beside ours.
//
// Invariant: no module of that commit is imported here, since its files may be arranged differently
// and a module may act when it is loaded. Its V8 arguments are read by a process of their own.

import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Build } from '../cli/processes/children.js';
import { packageDirectory } from '../shared/version.js';

export interface Checkout {
  /** The commit's hash, shortened. */
  readonly commit: string;
  /** Rejects when a step fails, or the signal aborts; the folder is left to `remove`. */
  build(signal: AbortSignal): Promise<Build>;
  /**
   * Deletes the folder, and what git remembers of it. Can be called twice. It is synchronous, so it
   * can be the last thing that a process does.
   */
  remove(): void;
}

const ours = packageDirectory();

/**
 * Finds the commit and makes the folder for it.
 * @throws Error when there is no such commit
 */
export function makeCheckout(revision: string, say: (line: string) => void): Checkout {
  const commit = findCommit(revision);
  const root = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'scoreline-compare-')));
  return {
    commit,
    build: async (signal) => {
      const run = makeRun(signal);
      say(`Checking out and building ${commit} in ${root} …`);
      await run('git', ['worktree', 'add', '--quiet', '--detach', root, commit], ours);
      if (hasOurDependencies(root)) {
        symlinkSync(path.join(ours, 'node_modules'), path.join(root, 'node_modules'));
      } else {
        say(`Installing the dependencies of ${commit}, which are not ours …`);
        await run('npm', ['install', '--no-save', '--prefix', root], root);
      }
      await run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc')], root);
      const v8Arguments = await readV8Arguments(root, signal);
      if (v8Arguments === undefined) {
        say(
          `${commit} exports no v8Arguments in cli/processes/children.ts: its processes run without any.`,
        );
      }
      return { root, v8Arguments: v8Arguments ?? [] };
    },
    remove: () => {
      // Given twice, --force also removes a worktree that git was still adding.
      const parameters = ['worktree', 'remove', '--force', '--force', root];
      spawnSync('git', parameters, { cwd: ours, stdio: 'ignore' });
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function findCommit(revision: string): string {
  try {
    return execFileSync('git', ['rev-parse', '--verify', '--short', `${revision}^{commit}`], {
      cwd: ours,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .toString()
      .trim();
  } catch {
    throw new Error(`--base: expected a commit of the git repository in ${ours}; got ${revision}`);
  }
}

/** Whether what is installed here is what the other package asks for. */
function hasOurDependencies(root: string): boolean {
  const lock = 'package-lock.json';
  if (!existsSync(path.join(root, lock))) return false;
  return readFileSync(path.join(root, lock)).equals(readFileSync(path.join(ours, lock)));
}

/** Where a build has children.js, in earlier commits too. */
const childrenFiles = ['dist/cli/processes/children.js', 'dist/cli/children.js'];

/** What the built children.js exports; undefined when the commit has no such export, or file. */
async function readV8Arguments(root: string, signal: AbortSignal): Promise<string[] | undefined> {
  const file = childrenFiles.map((name) => path.join(root, name)).find((name) => existsSync(name));
  if (file === undefined) return undefined;
  const print = `import * as children from ${JSON.stringify(pathToFileURL(file).href)};
    process.stdout.write(JSON.stringify(children.v8Arguments ?? null));`;
  const parameters = ['--input-type=module', '--eval', print];
  const { stdout } = await promisify(execFile)(process.execPath, parameters, { signal });
  return JSON.parse(stdout) ?? undefined;
}

/** Runs programs that print to stderr, since stdout is for the result of the benchmark. */
function makeRun(signal: AbortSignal) {
  return (program: string, parameters: readonly string[], cwd: string) =>
    new Promise<void>((resolve, reject) => {
      signal.throwIfAborted();
      // tsc, git and npm work in processes of their own. The group reaches them all, and the pipes
      // stay open until the last has ended, so nothing is written once the folder is deleted.
      const child = spawn(program, parameters, {
        cwd,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const output of [child.stdout, child.stderr]) output.pipe(process.stderr);
      const endGroup = () => endProcessGroup(child.pid);
      signal.addEventListener('abort', endGroup);

      let reason: string | undefined;
      child.once('error', (error) => {
        reason = error.message;
      });
      child.once('close', (code, signalName) => {
        signal.removeEventListener('abort', endGroup);
        const command = [path.basename(program), ...parameters].join(' ');
        if (code === 0) resolve();
        else reject(new Error(`${command} failed (${reason ?? signalName ?? code}).`));
      });
    });
}

function endProcessGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGTERM');
  } catch {
    // The group has ended already.
  }
}
