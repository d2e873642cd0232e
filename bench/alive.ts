// How much memory of a process is alive: what is left of V8's heap and of buffers once the garbage is collected.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { waitUntil } from '../chaos/wait.js';

const answerMsMax = 60_000;

/** Measures processes that were started with its environment. */
export class AliveMemory {
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'scoreline-alive-'));
  readonly environment: NodeJS.ProcessEnv;

  constructor() {
    const probe = pathToFileURL(path.join(import.meta.dirname, 'memory-probe.js'));
    this.environment = { MEMORY_PROBE: this.#prefix, NODE_OPTIONS: `--import ${probe}` };
  }

  /**
   * Collects the garbage of a process, and returns how many bytes are alive.
   * @throws Error if it does not answer within a minute
   */
  async read(pid: number): Promise<number> {
    const file = `${this.#prefix}-${pid}`;
    rmSync(file, { force: true });
    process.kill(pid, 'SIGUSR2');
    if (!(await waitUntil(() => existsSync(file), answerMsMax, 5))) {
      throw new Error(`The process ${pid} did not measure itself.`);
    }
    return Number(readFileSync(file, 'utf8'));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #prefix(): string {
    return path.join(this.#folder, 'process');
  }
}
