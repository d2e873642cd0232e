// The clients follow a job by the events of a real service.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ScorelineClient } from '../../client/client.js';
import { root } from '../harness.js';
import { hasPython, requirements } from '../python.js';
import { openSites, type Site, type Sites } from './job-site.js';

let sites: Sites;

beforeAll(async () => {
  sites = await openSites();
});
afterAll(() => sites?.close());

/** Puts another API in the place of the first, which is killed. */
async function replaceApi({ api, url, start }: Site): Promise<void> {
  api.kill('SIGKILL');
  await api.exited;
  await start('api', { PORT: new URL(url).port });
}

test('a job is followed across a restart of the API, with each state once', async () => {
  const site = await sites.open();
  const client = new ScorelineClient({ url: site.url });
  const job = await client.submit('faq-matcher', 'copy an object');
  const states: string[] = [];
  let lastEventId: string | undefined;
  for await (const event of client.events(job)) {
    if (event.type === 'position') continue;
    states.push(event.job.state);
    lastEventId = event.id;
    if (event.job.state === 'queued') {
      await replaceApi(site);
      await site.start('worker');
    }
    if (event.job.state !== 'succeeded') continue;
    expect(event.job.result.predictions.length).toBeGreaterThan(0);
    expect(event.job).toEqual(await client.job(job));
  }
  expect(states[0]).toBe('queued');
  expect(states.at(-1)).toBe('succeeded');
  expect(new Set(states).size).toBe(states.length);
  const more = [];
  for await (const event of client.events(job, { lastEventId })) more.push(event);
  expect(more).toEqual([]);
});

test('the events of no job are an error', async () => {
  const site = await sites.open();
  const client = new ScorelineClient({ url: site.url });
  await expect(client.events('nobody').next()).rejects.toMatchObject({ code: 'job_not_found' });
  const job = await client.submit('faq-matcher', 'copy an object');
  const faulty = client.events(job, { lastEventId: 'no id' }).next();
  await expect(faulty).rejects.toMatchObject({ code: 'event_id_invalid' });
  await client.cancel(job);
  await expect(client.wait(job)).rejects.toMatchObject({ code: 'job_cancelled', status: 409 });
});

test.skipIf(!hasPython)('the Python client follows one too (needs Python 3.11)', async () => {
  const site = await sites.open();
  const { id } = await new ScorelineClient({ url: site.url }).submit('faq-matcher', 'sort');
  const script = ['dist/cli/python.js', requirements, 'test/end-to-end/python_client.py'];
  const child = spawn(process.execPath, [...script, path.join(root, 'client/python')], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify({ url: site.url, method: 'events', arguments: [id] }));
  const [output] = await Promise.all([
    buffer(child.stdout),
    replaceApi(site).then(() => site.start('worker')),
    once(child, 'exit'),
  ]);
  const { result } = JSON.parse(output.toString());
  const states = result
    .filter(({ job }: { job: unknown }) => job !== null)
    .map(({ job }: { job: { state: string } }) => job.state);
  expect(states.at(-1)).toBe('succeeded');
  expect(new Set(states).size).toBe(states.length);
});
