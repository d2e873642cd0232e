import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { sign } from '../../api/webhooks/signature.js';
import { makeClient, type Outcome } from '../../chaos/client.js';
import type { Ranked } from '../../chaos/expected.js';
import { type Expectation, makeJudge, type Sent } from '../../chaos/judge.js';
import { openReceiver, receiverSecret } from '../../chaos/receiver.js';
import { openRedis } from '../../chaos/redis.js';
import { run } from '../../chaos/run.js';
import type { JobsSummary } from '../../chaos/run-jobs.js';
import { type Fault, type FaultKind, faultKinds, makeSchedule } from '../../chaos/schedule.js';
import { isPassed, makeTally, type Summary } from '../../chaos/tally.js';
import type { Input, Target } from '../../chaos/target.js';
import { targets } from '../../chaos/targets.js';
import { makeTimeline } from '../../chaos/timeline.js';
import { judgeWebhooks } from '../../chaos/told.js';
import { runCommand, runSeeded } from '../command.js';
import { waitUntil } from '../harness.js';
import { listenOnFreePort } from '../peer.js';

const secret = Buffer.from(receiverSecret.slice('whsec_'.length), 'base64');

describe('chaos', () => {
  test('loses no request, and answers none wrongly, twice or never', async () => {
    const { exitCode, summary, said } = await runSeeded<Summary>('chaos', [
      '--seconds',
      '20',
      '--seed',
      '7',
      '--clients',
      '8',
      '--kill-every-ms',
      '4000',
    ]);
    const { lost, wrong, answered_twice, hung, webhooks, well } = summary;
    const told = { missing: webhooks.missing, wrongly: webhooks.wrong };
    expect({ ...told, lost, wrong, answered_twice, hung, well }, said).toEqual({
      missing: 0,
      wrongly: 0,
      lost: 0,
      wrong: 0,
      answered_twice: 0,
      hung: 0,
      well: true,
    });
    expect(exitCode).toBe(0);
    for (const kind of targets.scoreline?.defaultFaults ?? [])
      expect(summary.faults[kind], kind).toBeGreaterThan(0);
    expect(summary.failed_by_design).toBeGreaterThan(0);
    expect(summary.hung_up).toBeGreaterThan(0);
    expect(webhooks.right).toBeGreaterThan(0);
    for (const count of Object.values(summary.right_by_model)) expect(count).toBeGreaterThan(0);
    // The limit is longer than any fault plus the start of a worker. It is shorter than the API's
    // SHUTDOWN_MS.
    expect(summary.slowest_recovery_ms, said).toBeLessThan(25_000);
  }, 300_000);
});

describe('the chaos of jobs', () => {
  test('ends each in one state, the right one, and tells of each', async () => {
    // With this seed, each fault comes in the first two seconds, and the jobs take longer on any machine.
    const { exitCode, said, summary } = await runSeeded<JobsSummary>('chaos', [
      '--jobs',
      '200',
      '--seed',
      '26',
      '--clients',
      '8',
      '--kill-every-ms',
      '2000',
      '--faults',
      'kill,api-restart,redis-restart',
    ]);
    for (const kind of ['kill', 'api-restart', 'redis-restart'])
      expect(summary.faults[kind], said).toBeGreaterThan(0);
    expect(summary, said).toMatchObject({
      ...{ jobs: 200, wrong: 0, changed: 0, not_ended: 0, illness: [] },
      webhooks: { right: 200, missing: 0, wrong: 0 },
    });
    expect(summary.succeeded + summary.cancelled).toBe(200);
    // How many depends on the machine: a job that is done cannot be cancelled any more.
    expect(summary.cancelled).toBeGreaterThan(5);
    expect(exitCode).toBe(0);
  }, 300_000);
});

describe('the chaos harness', () => {
  test('counts webhooks that are missing, wrong or repeated', async () => {
    const receiver = await openReceiver();
    const send = async (job: string, state: string, { id = job, key = secret } = {}) => {
      const body = JSON.stringify({ type: `job.${state}`, data: { id: job } });
      const headers = sign({ id, body }, [{ host: undefined, key }], new Date());
      await fetch(receiver.origin, { method: 'POST', body, headers });
    };
    await send('right', 'succeeded');
    await send('repeated', 'cancelled');
    await send('repeated', 'cancelled');
    await send('other state', 'succeeded');
    await send('other id', 'succeeded');
    await send('other id', 'succeeded', { id: 'another' });
    await send('unsigned', 'succeeded', { key: Buffer.alloc(24) });
    const states = new Map([
      ...[['right', 'succeeded'] as const, ['repeated', 'cancelled'] as const],
      ...[['other state', 'failed'] as const, ['other id', 'succeeded'] as const],
      ['unsigned', 'succeeded'],
    ]);
    const counts = await judgeWebhooks(receiver, states, () => {}, 0);
    // The one without a good signature also leaves its job without a webhook.
    expect(counts).toEqual({ right: 2, repeated: 2, missing: 1, wrong: 3 });
    await receiver.close();
  });

  test('draws the same faults from the same seed', () => {
    expect(takeFaults(7)).toEqual(takeFaults(7));
    expect(takeFaults(7)).not.toEqual(takeFaults(8));
    const times = takeFaults(7).map((fault) => fault.atMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test('draws them three times rarer where things take longer, but kills as often as told', () => {
    const once = takeFaults(7, { kinds: ['term'] });
    const thrice = takeFaults(7, { kinds: ['term'], stretch: 3 });
    for (const [index, { atMs }] of thrice.entries()) {
      // Each time is rounded to a millisecond.
      expect(Math.abs(atMs - 3 * (once[index] as Fault).atMs)).toBeLessThan(3);
    }
    expect(takeFaults(7, { kinds: ['kill'], stretch: 3 })).toEqual(
      takeFaults(7, { kinds: ['kill'] }),
    );
  });

  test.each([
    [
      ['--target', 'flask', '--faults', 'redis-cut'],
      /--faults: expected one or more of kill, .*; got redis-cut/,
    ],
    [['--target', 'cloud'], /--target: expected one of scoreline, .*; got cloud/],
    [['--target', 'compose'], /Expected a Docker engine; got/],
  ])('says why it cannot start with %j', async (parameters, reason) => {
    const env = { DOCKER_HOST: 'tcp://127.0.0.1:1' };
    const { code, err } = await runCommand('chaos', parameters, { env });
    expect(err).toMatch(reason);
    expect(err).not.toMatch(/logs are in/);
    expect(code).toBe(1);
  });

  test('counts an answer to another request as wrong', () => {
    const { record, summarize } = makeBench();
    record({ expected: cat }, answer(cat));
    expect(summarize()).toMatchObject({ right: 1, wrong: 0 });
    record({ expected: cat }, answer(dog));
    expect(summarize()).toMatchObject({ right: 1, wrong: 1 });
    expect(isPassed(summarize())).toBe(false);
  });

  test('tolerates different last digits of scores, and neighbours that swap places', () => {
    const { record, summarize } = makeBench();
    const close: Ranked[] = [
      ['a', 0.5],
      ['b', 0.30001],
      ['c', 0.3],
      ['d', 0.1],
    ];
    record(
      { expected: close },
      answer([
        ['a', 0.50001],
        ['c', 0.30001],
        ['b', 0.3],
      ]),
    );
    record(
      { expected: close },
      answer([
        ['a', 0.51],
        ['b', 0.3],
        ['c', 0.3],
      ]),
    );
    expect(summarize()).toMatchObject({ right: 1, wrong: 1 });
  });

  test('excuses a refusal only if there is a reason for it', () => {
    const { record, summarize, timeline } = makeBench();
    record({ expected: cat }, problem(429, 'overloaded', { 'retry-after': '1' }));
    record({ expected: cat }, problem(429, 'overloaded'));
    record({ expected: cat }, problem(504, 'deadline_exceeded'));
    record({ expected: cat }, { type: 'closed', reason: 'ECONNRESET' });
    expect(summarize()).toMatchObject({ refused: { '429': 1, '504': 0 }, wrong: 1, lost: 2 });

    timeline.begin('api-restart');
    record({ expected: cat }, problem(504, 'deadline_exceeded'));
    record({ expected: cat }, { type: 'unreachable', reason: 'ECONNREFUSED' });
    expect(summarize()).toMatchObject({ refused: { '504': 1, connection: 1 }, lost: 2 });
    expect(summarize().refused_by_fault).toEqual({ none: 1, 'api-restart': 2 });
    // The API accepted this one well before the restart, so it had to answer.
    record({ expected: cat }, { type: 'closed', reason: 'ECONNRESET' });
    expect(summarize()).toMatchObject({ refused: { connection: 1 }, lost: 3 });
  });

  test('counts an error for an innocent input as lost, and silence as hung', () => {
    const { record, summarize } = makeBench();
    record({ expected: cat }, problem(500, 'model_crashed'));
    record({ expected: cat }, { type: 'silence' });
    expect(summarize()).toMatchObject({ lost: 1, hung: 1 });
  });

  test('expects each poison to fail with the code of its kind', () => {
    const { record, summarize } = makeBench();
    record({ poison: 'crash' }, problem(500, 'model_crashed'));
    record({ poison: 'throw' }, problem(500, 'model_failed'));
    expect(summarize()).toMatchObject({ failed_by_design: 2, wrong: 0 });
    record({ poison: 'throw' }, problem(500, 'model_crashed'));
    record({ poison: 'hang' }, answer(cat));
    expect(summarize()).toMatchObject({ failed_by_design: 2, wrong: 2 });
  });

  test('excuses a late poison only if it waited for other poisons', () => {
    const { record, summarize, timeline } = makeBench();
    const late = problem(504, 'deadline_exceeded');
    timeline.begin('poison');
    timeline.begin('poison');
    record({ poison: 'crash' }, late);
    expect(summarize()).toMatchObject({ refused: { '504': 0 }, lost: 1 });
    timeline.begin('poison');
    record({ poison: 'crash' }, late);
    expect(summarize()).toMatchObject({ refused: { '504': 1 }, lost: 1 });
  });

  test('tries poisons one by one after the trouble, since together they end at their deadlines', async () => {
    const { target, close } = await openPoisonedTarget();
    const summary = await run(target, { ...briefly, kinds: ['poison'] });
    await close();
    expect(summary.failed_by_design).toBeGreaterThan(2);
    expect(isPassed(summary), JSON.stringify(summary)).toBe(true);
  }, 60_000);

  test('ends with the reason when a fault cannot be injected', async () => {
    const { target, close } = await openPoisonedTarget();
    const faults = { 'redis-kill': () => Promise.reject(new Error('no Redis')) };
    const running = run({ ...target, faults }, { ...briefly, seconds: 60, kinds: ['redis-kill'] });
    await expect(running).rejects.toThrow('no Redis');
    await close();
  }, 30_000);

  test('says why Redis cannot be started again', async () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-chaos-redis-'));
    const redis = await openRedis(directory);
    await redis.client.set('key', 'value');
    writeFileSync(path.join(directory, 'appendonlydir', 'appendonly.aof.manifest'), 'damaged\n');
    await expect(redis.restart('SIGKILL')).rejects.toThrow(
      `redis-server ended as soon as it was started (1): see ${path.join(directory, 'redis.log')}.`,
    );
    await redis.close();
    rmSync(directory, { recursive: true });
  });

  test.each(['at once', 'later'])('notices a second response that arrives %s', async (when) => {
    const response = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';
    const server = createServer((socket) => {
      socket.on('data', () => {
        socket.write(when === 'at once' ? response + response : response);
        if (when === 'later') setTimeout(() => socket.write(response), 20);
      });
      socket.on('error', () => {});
    });
    const { tally, summarize } = makeBench();
    const address = { host: '127.0.0.1', port: await listenOnFreePort(server) };
    const client = makeClient({ address, onAnsweredTwice: tally.recordAnsweredTwice });
    expect(await client.ask(Buffer.from('GET / HTTP/1.1\r\n\r\n'), 5000)).toMatchObject({
      type: 'response',
      response: { status: 200, body: '{}' },
    });
    await waitUntil('the second response counts', () => summarize().answered_twice === 1);
    expect(isPassed(summarize())).toBe(false);
    client.close();
  });
});

const cat: Ranked[] = [
  ['cat', 0.9],
  ['dog', 0.05],
  ['fox', 0.01],
];
const dog: Ranked[] = [
  ['dog', 0.9],
  ['cat', 0.05],
  ['fox', 0.01],
];

const briefly = {
  ...{ seed: 7, seconds: 1, requests: undefined, clients: 2, killEveryMs: 2000, say: () => {} },
  /** A poison comes every 80 ms. */
  stretch: 0.02,
};

/** Opens a target that fails a poison which is alone by design, and others at their deadlines. */
async function openPoisonedTarget(): Promise<{ target: Target; close(): Promise<void> }> {
  const deadlineMs = 300;
  let poisons = 0;
  const server = http.createServer(async (request, response) => {
    const tell = (status: number, body: unknown) => {
      const text = JSON.stringify(body);
      response.writeHead(status, { 'Content-Length': Buffer.byteLength(text) }).end(text);
    };
    if (request.url === '/innocent') return tell(200, cat);
    poisons++;
    const isAlone = poisons === 1;
    await delay(deadlineMs);
    if (isAlone && poisons === 1) tell(500, { code: 'model_crashed' });
    else tell(504, { code: 'deadline_exceeded' });
    poisons--;
  });
  const address = { host: '127.0.0.1', port: await listenOnFreePort(server) };
  const input = (pathname: string, expectation: Expectation): Input => ({
    ...{ model: 'm', expectation, deadlineMs },
    request: Buffer.from(`GET ${pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`),
  });
  return {
    target: {
      address,
      models: ['m'],
      inputsOf: () => [input('/innocent', { expected: cat })],
      poison: async () => input('/poison', { poison: 'crash' }),
      formOf: () => ({ read: JSON.parse, tolerance: 1e-4, connectionLossIsRefusal: true }),
      faults: {},
      isReady: async () => true,
      findIllness: async () => [],
      close: async () => [],
    },
    close: async () => void server.close(),
  };
}

/** Makes a judge and a tally for one model, with a clock that stands still. */
function makeBench() {
  const now = () => 100_000;
  const timeline = makeTimeline(['m'], now);
  const tally = makeTally({ models: ['m'], timeline, say: () => {}, now });
  const judge = makeJudge(timeline, () => ({
    read: JSON.parse,
    tolerance: 1e-4,
    connectionLossIsRefusal: true,
  }));
  const record = (expectation: Expectation, outcome: Outcome) => {
    const sent: Sent = {
      ...{ model: 'm', expectation, sentAt: now() - 10_000, endedAt: now(), deadlineMs: 10_000 },
    };
    tally.record(sent, judge(sent, outcome));
  };
  return { timeline, tally, record, summarize: () => tally.summarize({ seed: 1, seconds: 1 }) };
}

function answer(ranked: readonly Ranked[]): Outcome {
  return respond(200, ranked, {});
}

function problem(status: number, code: string, headers: Record<string, string> = {}): Outcome {
  return respond(status, { code }, headers);
}

function respond(status: number, body: unknown, headers: Record<string, string>): Outcome {
  const response = {
    status,
    headers: new Map(Object.entries(headers)),
    body: JSON.stringify(body),
  };
  return { type: 'response', response };
}

function takeFaults(
  seed: number,
  { kinds = faultKinds, stretch = 1 }: { kinds?: readonly FaultKind[]; stretch?: number } = {},
): Fault[] {
  const schedule = makeSchedule({ seed, kinds, killEveryMs: 2000, stretch });
  return Array.from({ length: 200 }, () => schedule.next().value);
}
