// A service for tests of jobs: an API, and workers that a test starts when it wants them. Its queue is that of
// nobody else.

import { expect, onTestFinished } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import { findFreePort } from '../../cli/redis/redis.js';
import {
  type Answer,
  ask,
  openRedis,
  post,
  serviceEnvironment,
  startProcess,
  type TestRedis,
} from '../harness.js';

export const text = '/v1/models/faq-matcher/score';
export const input = 'copy an object';
export const later = { prefer: 'respond-async' };

export interface Site {
  readonly url: string;
  readonly api: Child & { readonly url: string };
  readonly prefix: string;
  start(role: 'api' | 'worker', changes?: NodeJS.ProcessEnv): Promise<Child & { url: string }>;
}

export interface Sites {
  readonly redis: TestRedis;
  /** Starts an API. It and its workers end with the test: idle processes would take their share of every later one. */
  open(changes?: NodeJS.ProcessEnv): Promise<Site>;
  /** Starts an API that several tests use. It and its workers end with `close`. */
  openForAll(changes?: NodeJS.ProcessEnv): Promise<Site>;
  close(): Promise<void>;
}

/** Starts a Redis for several services. */
export async function openSites(): Promise<Sites> {
  const redis = await openRedis();
  const shared: Child[] = [];
  let sites = 0;
  const open = async (children: Child[], changes: NodeJS.ProcessEnv = {}): Promise<Site> => {
    const prefix = `jobs-${++sites}`;
    const environment = serviceEnvironment({
      redisUrl: redis.url,
      models: 'faq-matcher',
      environment: { QUEUE_PREFIX: prefix, ...changes },
    });
    const start: Site['start'] = async (role, more) => {
      const child = startProcess(role, { ...environment, ...more }, []);
      children.push(child);
      const { port } = await child.ready;
      return Object.assign(child, { url: `http://127.0.0.1:${port}` });
    };
    // Tests start another API on this port after it.
    const api = await start('api', { PORT: String(await findFreePort()) });
    return { url: api.url, api, prefix, start };
  };
  return {
    redis,
    open(changes) {
      const children: Child[] = [];
      onTestFinished(() => killAll(children));
      return open(children, changes);
    },
    openForAll: (changes) => open(shared, changes),
    async close() {
      killAll(shared);
      await redis.close();
    },
  };
}

function killAll(children: readonly Child[]): void {
  for (const child of children) child.kill('SIGKILL');
}

export const read = (url: string, id: string, headers = {}) =>
  ask(`${url}/v1/jobs/${id}`, { headers });

export const cancel = (url: string, id: string) =>
  ask(`${url}/v1/jobs/${id}`, { method: 'DELETE' });

/** Makes a job. Returns its id. */
export async function submit(url: string, body: object = { input }, headers = {}): Promise<string> {
  const answer = await post(url, body, { ...later, ...headers });
  expect(answer).toMatchObject({ status: 202, body: { state: 'queued' } });
  expect(answer.headers.get('location')).toBe(`/v1/jobs/${answer.body.id}`);
  expect(answer.headers.get('preference-applied')).toBe('respond-async');
  expect(answer.headers.get('retry-after')).toBe('1');
  return answer.body.id;
}

export async function readEnded(url: string, id: string): Promise<Answer> {
  const answer = await read(url, id, { prefer: 'wait=60' });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('preference-applied')).toBe('wait=60');
  expect(['queued', 'running']).not.toContain(answer.body.state);
  return answer;
}
