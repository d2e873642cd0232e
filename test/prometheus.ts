// Prometheus and its promtool, where they are installed (Debian: apt install prometheus).

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { findFreePort } from '../cli/redis/redis.js';
import { writeFolder } from './unit/sample-model.js';

/** Whether the tests can run a program of Prometheus. Those that need it are skipped otherwise. */
export function isInstalled(program: 'prometheus' | 'promtool'): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

/** Says in the name of a test why it is skipped. */
export function needing(program: 'prometheus' | 'promtool'): string {
  return isInstalled(program) ? '' : ` (skipped: ${program} is not installed)`;
}

/** @throws Error with the output of promtool, if it finds a fault */
export function promtool(parameters: readonly string[], input = ''): string {
  return execFileSync('promtool', parameters, { input, encoding: 'utf8' });
}

/** One series of an answer of Prometheus. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

interface Answer {
  readonly error?: string;
  readonly data?: { readonly result: readonly Series[] };
}

export interface Prometheus {
  readonly url: string;
  /** Returns the series of an expression; none while it has not started yet. */
  query(expr: string): Promise<readonly Series[]>;
  close(): Promise<void>;
}

/** Starts a Prometheus that scrapes itself and these ports of this machine each second. */
export async function startPrometheus(
  ports: readonly number[],
  ruleFiles: readonly string[] = [],
): Promise<Prometheus> {
  const targets = ports.map((port) => `127.0.0.1:${port}`);
  const address = `127.0.0.1:${await findFreePort()}`;
  const configuration = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ruleFiles,
    scrape_configs: [
      { job_name: 'scoreline', static_configs: [{ targets }] },
      { job_name: 'prometheus', static_configs: [{ targets: [address] }] },
    ],
  };
  const directory = writeFolder({ 'prometheus.yml': configuration });
  const child = spawn(
    'prometheus',
    [
      `--config.file=${directory}/prometheus.yml`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=${address}`,
    ],
    { stdio: 'ignore' },
  );
  const exited = once(child, 'exit');
  return {
    url: `http://${address}`,
    query: async (expr) => {
      const url = `http://${address}/api/v1/query?query=${encodeURIComponent(expr)}`;
      const response = await fetch(url).catch(() => undefined);
      // It says 503 until it has started.
      if (!response || response.status === 503) return [];
      const { error, data } = (await response.json()) as Answer;
      if (error !== undefined) throw new Error(`${error}: ${expr}`);
      return data?.result ?? [];
    },
    close: async () => {
      child.kill();
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
