// `npm run bench -- timing [--requests N] [--checks N]`
//
// Does the time of a refusal tell anything about the known keys? It compares keys of three kinds, in random
// order: of no known id, of a known id with a wrong secret, and of a known id with a wrong secret whose hash
// begins like that of the right one. First `--checks` keys of each kind are checked in this process, where a
// microsecond shows; then `--requests` requests go to an API over HTTP, one after the other.
//
// For each pair of kinds, a Mann-Whitney test says how likely it is that the difference is chance. It
// counts as a difference below 1 %, so one run in twenty or so reports one where there is none.

import { randomInt } from 'node:crypto';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../api/access/api-key.js';
import { ApiKeyRing } from '../api/access/api-key-ring.js';
import { ApiKeyStore } from '../api/access/api-key-store.js';
import { makeKeys } from '../shared/redis/keys.js';
import { startBenchApi } from './api.js';
import { encodeRequest, makeClient } from './client.js';
import { median } from './load.js';
import { makeModelsDirectory } from './models.js';
import { readOptions } from './options.js';
import { report } from './report.js';
import { connectToRedis, startBenchService } from './service.js';

const values = readOptions({
  requests: 10000,
  checks: 10000,
});
/** The API lets refusals wait that come faster. */
const requestsPerSecond = 150;
const keysOfKind = 2000;

const id = makeApiKeyId();
const unknownId = makeApiKeyId();
const known = makeApiKey(id);
const hash = hashApiKey(known);
const record = {
  id,
  name: 'known',
  sha256: hash.toString('hex'),
  scopes: ['score' as const],
};
const kinds: Readonly<Record<string, readonly string[]>> = {
  // They share an id, too: to check ten new characters takes a processor longer than ten known ones.
  'no such id': Array.from({ length: keysOfKind }, () => makeApiKey(unknownId)),
  'wrong secret': Array.from({ length: keysOfKind }, () => makeApiKey(id)),
  'wrong secret, hash begins alike': Array.from({ length: keysOfKind }, makeAlikeKey),
};
const names = Object.keys(kinds);

const rows: Record<string, string | number>[] = [];
const summary: Record<string, number> = {};
addRows('in process', 'ns', checkInProcess());
addRows('over HTTP', 'µs', await askOverHttp());
report('timing', rows, summary);
process.exit(0);

/** Makes a key of the known id whose hash has the first byte of the right one's. */
function makeAlikeKey(): string {
  for (;;) {
    const key = makeApiKey(id);
    if (hashApiKey(key)[0] === hash[0]) return key;
  }
}

/** Returns a new copy, as it would come from a socket. Where a string lies in memory shows in its time. */
function keyOf(kind: string): string {
  const keys = kinds[kind] as readonly string[];
  return Buffer.from(keys[randomInt(keys.length)] as string).toString('latin1');
}

type Times = Readonly<Record<string, number[]>>;

function checkInProcess(): Times {
  const ring = new ApiKeyRing(undefined);
  ring.replace([record]);
  const times: Times = Object.fromEntries(names.map((name) => [name, []]));
  const total = values.checks * names.length;
  for (let index = -10_000; index < total; index++) {
    const kind = names[randomInt(names.length)] as string;
    const key = keyOf(kind);
    const before = process.hrtime.bigint();
    try {
      ring.find(key);
    } catch {}
    // V8 is still compiling at first.
    if (index >= 0) times[kind]?.push(Number(process.hrtime.bigint() - before));
  }
  return times;
}

async function askOverHttp(): Promise<Times> {
  const modelsDirectory = makeModelsDirectory('faq-matcher', {});
  const service = await startBenchService({
    models: 'faq-matcher',
    modelsDirectory,
    roles: ['worker'],
  });
  const redis = await connectToRedis(service.redisUrl);
  await new ApiKeyStore(redis, makeKeys('scoreline')).write(record);
  const api = await startBenchApi({
    REDIS_URL: service.redisUrl,
    MODELS: 'faq-matcher',
    MODELS_DIR: modelsDirectory,
    AUTH: 'keys',
  });
  const client = makeClient(Number(new URL(api.url).port));
  const times: Times = Object.fromEntries(names.map((name) => [name, []]));
  for (let index = -500; index < values.requests; index++) {
    const kind = names[randomInt(names.length)] as string;
    const headers = { 'X-API-Key': keyOf(kind) };
    const request = encodeRequest({ pathname: '/score', body: '{"input":"x"}', headers });
    const before = performance.now();
    const { status } = await client.ask(request);
    const micros = (performance.now() - before) * 1000;
    if (status !== 401) throw new Error(`Expected 401 for a wrong key; got ${status}.`);
    if (index >= 0) times[kind]?.push(micros);
    await delay(1000 / requestsPerSecond);
  }
  client.close();
  redis.disconnect();
  await api.close();
  await service.close();
  return times;
}

function addRows(where: string, unit: string, times: Times): void {
  for (const [index, a] of names.entries()) {
    for (const b of names.slice(index + 1)) {
      const [ofA, ofB] = [times[a], times[b]] as [number[], number[]];
      const chance = chanceOf(ofA, ofB);
      rows.push({
        where,
        compared: `${a} / ${b}`,
        count: ofA.length + ofB.length,
        medians: `${median(ofA).toFixed(1)} / ${median(ofB).toFixed(1)} ${unit}`,
        'by chance': `${(chance * 100).toFixed(1)} %`,
        differ: chance < 0.01 ? 'yes' : 'no',
      });
      summary[`differences_${where.replaceAll(' ', '_')}`] =
        (summary[`differences_${where.replaceAll(' ', '_')}`] ?? 0) + (chance < 0.01 ? 1 : 0);
    }
  }
}

/** The two-sided probability of the Mann-Whitney test, by its normal approximation. */
function chanceOf(a: readonly number[], b: readonly number[]): number {
  const all = [
    ...a.map((value) => ({ value, isA: true })),
    ...b.map((value) => ({ value, isA: false })),
  ];
  all.sort((one, other) => one.value - other.value);
  let rankSum = 0;
  let tieTerm = 0;
  for (let from = 0; from < all.length; ) {
    let to = from;
    while (to < all.length && all[to]?.value === all[from]?.value) to++;
    const rank = (from + 1 + to) / 2;
    for (let at = from; at < to; at++) if (all[at]?.isA) rankSum += rank;
    tieTerm += (to - from) ** 3 - (to - from);
    from = to;
  }
  const [m, n, total] = [a.length, b.length, all.length];
  const expected = (m * (total + 1)) / 2;
  const variance = ((m * n) / 12) * (total + 1 - tieTerm / (total * (total - 1)));
  return twoSided(Math.abs(rankSum - expected) / Math.sqrt(variance));
}

/** Twice the normal distribution's tail beyond z, after Abramowitz and Stegun 26.2.17. */
function twoSided(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const series =
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return Math.min(1, (2 * Math.exp((-z * z) / 2) * series) / Math.sqrt(2 * Math.PI));
}
