// docker-compose.yml as it is, from `up` to `down`. `npm run e2e:compose` builds the images and runs
// this; the tests are steps of one run, in this order.

import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isHealthy } from '../../chaos/service.js';
import { type Compose, openCompose } from '../../cli/docker/compose.js';
import { docker } from '../../cli/docker/docker.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { type Answer, post, queueOf, root, waitUntil } from '../harness.js';
import { photograph } from '../integration/photographs.js';
import { whySkipped } from './switch.js';

/** A busy machine takes a minute for what takes seconds on an idle one. */
const stepMsMax = 300_000;
const clients = 8;
const unanswered = makeKeys('scoreline').unanswered(queueOf('faq-matcher'));
const cat = photograph('siamese-cat.jpg').toString('base64');

const title = `docker-compose.yml${whySkipped ? ` (${whySkipped})` : ''}`;
describe.skipIf(whySkipped)(title, { timeout: stepMsMax }, () => {
  let compose: Compose;

  beforeAll(async () => {
    const port = await findFreePort();
    compose = await openCompose({
      project: `scoreline-e2e-${process.pid}`,
      files: [`${root}/docker-compose.yml`],
      environment: { ...process.env, AUTH: 'none', API_PORTS: `${port}-${port + 9}` },
    });
    await compose.run('up', '--detach');
    await untilReady(1);
  }, stepMsMax);
  // The last test has done this, unless one before it has failed.
  afterAll(() => compose?.down(), stepMsMax);

  test('`up` answers both scenarios by the reference contract', async () => {
    expectQuestion(await ask());
    const { status, body } = await post(`${await apiUrl()}/score`, { input: { cat: `"${cat}"` } });
    expect(status).toBe(200);
    expect(body.result[0].cat).toHaveLength(3);
    expect(body.result[0].cat[0]).toEqual([
      'n02123597 Siamese cat, Siamese',
      expect.closeTo(0.984, 2),
    ]);
  });

  test('processes are not root, and cannot write to their root file system', async () => {
    for (const service of ['api', 'worker']) {
      for (const id of await compose.containersOf(service)) {
        expect((await docker('exec', id, 'id', '-u')).trim()).toBe('1000');
        await expect(docker('exec', id, 'touch', '/app/file')).rejects.toThrow(/read-only/i);
      }
    }
  });

  test('without workers a request waits, also while Redis restarts, and is then answered in its own response', async () => {
    await scale('worker', 0);
    const answer = ask();
    await untilUnanswered(1);
    await docker('restart', await only('redis'));
    await untilUnanswered(1);
    await scale('worker', 1);
    expectQuestion(await answer);
  });

  test('a worker that is killed under load takes no request with it', async () => {
    await scale('worker', 2);
    await untilReady(2);
    const load = await startLoad();
    await load.untilAnswered(100);
    const [victim] = await compose.containersOf('worker');
    await docker('kill', victim as string);
    await load.untilAnswered(100);
    await docker('start', victim as string);
    await untilReady(2);
    await load.untilAnswered(50);
    for (const answer of await load.stop()) expectQuestion(answer);
  });

  test('a second API has a port of its own', async () => {
    await scale('api', 2);
    const ids = await compose.containersOf('api');
    const urls = await Promise.all(ids.map(apiUrl));
    expect(new Set(urls).size).toBe(2);
    for (const url of urls) {
      await waitUntil(`${url} is ready`, () => isReady(url), stepMsMax);
      expectQuestion(await ask(url));
    }
  });

  test('`stop` ends API and workers in order, and `down` leaves nothing', async () => {
    await compose.run('stop');
    for (const service of ['api', 'worker']) {
      for (const id of await compose.containersOf(service)) {
        const code = await docker('container', 'inspect', '--format', '{{.State.ExitCode}}', id);
        expect(code.trim(), service).toBe('0');
      }
    }
    expect(await compose.down()).toEqual([]);
  });

  async function only(service: string): Promise<string> {
    const [id, ...others] = await compose.containersOf(service);
    expect(others).toEqual([]);
    return id as string;
  }

  /** The address of an API on this machine; without an id, of the only one. */
  async function apiUrl(id?: string): Promise<string> {
    return `http://${(await docker('port', id ?? (await only('api')), '8080')).trim()}`;
  }

  async function ask(url?: string): Promise<Answer> {
    return post(`${url ?? (await apiUrl())}/score`, { input: 'copy an object' });
  }

  async function scale(service: string, count: number): Promise<void> {
    await compose.run('up', '--detach', '--no-recreate', '--scale', `${service}=${count}`, service);
  }

  async function untilReady(workers: number): Promise<void> {
    const url = await apiUrl();
    await waitUntil(
      `the API and ${workers} workers are ready`,
      async () => (await isReady(url)) && (await areHealthy(await compose.containersOf('worker'))),
      stepMsMax,
    );
    expect(await compose.containersOf('worker')).toHaveLength(workers);
  }

  async function untilUnanswered(items: number): Promise<void> {
    await waitUntil(
      `${items} requests wait in Redis`,
      async () =>
        Number(await docker('exec', await only('redis'), 'redis-cli', 'zcard', unanswered)) ===
        items,
      stepMsMax,
    );
  }

  async function startLoad() {
    const url = await apiUrl();
    const answers: Answer[] = [];
    let isOver = false;
    const all = Array.from({ length: clients }, async () => {
      while (!isOver) answers.push(await ask(url));
    });
    return {
      async untilAnswered(count: number) {
        const before = answers.length;
        const isDone = () => answers.length >= before + count;
        await waitUntil(`${count} more are answered`, isDone, stepMsMax);
      },
      async stop() {
        isOver = true;
        await Promise.all(all);
        return answers;
      },
    };
  }
});

function isReady(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return isHealthy({ host: hostname, port: Number(port) });
}

async function areHealthy(ids: readonly string[]): Promise<boolean> {
  const format = '{{.State.Health.Status}}';
  const states = await Promise.all(
    ids.map((id) => docker('container', 'inspect', '--format', format, id)),
  );
  return states.every((state) => state.trim() === 'healthy');
}

function expectQuestion({ status, body }: Answer): void {
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body.result[0][0]).toEqual([1041, 2041, expect.any(Number)]);
}
