// `npm run keys -- create NAME | list | rotate ID | revoke ID`
//
// A key is written to standard output, once and alone, so a script can take it from there. Everything
// else goes to standard error. The keys are in the Redis of REDIS_URL, or in the private one of `npm start`.
// With KEYS_FILE, which somebody else writes, the record to put there is printed instead.

import { existsSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { dump as toYaml } from 'js-yaml';
import { z } from 'zod';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../api/access/api-key.js';
import { readApiKeyFile } from '../api/access/api-key-file.js';
import {
  type ApiKeyRecord,
  describeFault,
  parseApiKeyRecord,
} from '../api/access/api-key-record.js';
import { changeCountsWithinMs } from '../api/access/api-key-source.js';
import { ApiKeyStore, noSuchKey } from '../api/access/api-key-store.js';
import { makeKeyCommand } from '../shared/configuration/access.js';
import { readConfiguration, redisSettings } from '../shared/configuration/configuration.js';
import { splitList } from '../shared/configuration/values.js';
import { coerceError, ScorelineError } from '../shared/errors.js';
import { listed } from '../shared/listed.js';
import { listModels } from '../shared/manifest/file.js';
import { makeKeys } from '../shared/redis/keys.js';
import { useRedis } from '../shared/redis/node.js';
import { explain } from '../shared/redis/redis.js';
import { messageOf } from '../shared/zod-issue.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { misused, wrong } from './faults.js';
import { modelsDirectory } from './models/directory.js';
import { findPrivateRedis } from './redis/port.js';

const usage = `Usage: npm run keys -- COMMAND
       node /app/dist/cli/keys.js COMMAND, in a container

  create NAME [--scopes SCOPE,…] [--models NAME,…] [--expires DURATION | TIME]
              [--per-second N [--burst N]] [--concurrent N]
  list
  rotate ID   [--keep-old DURATION]
  revoke ID

Scopes: score (if none is given), jobs, admin. Durations: 90d, 24h, 30m, 0m.
The keys are in the Redis of REDIS_URL, in that of "npm start", or in KEYS_FILE.`;

const units: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000 };

/** By field of a record, the option that it comes from. */
const optionOf = {
  scopes: 'scopes',
  models: 'models',
  perSecond: 'per-second',
  burst: 'burst',
  concurrent: 'concurrent',
} as const;

/** How many models a note names. */
const namesMax = 10;

const rfc3339 = z.union([z.iso.date(), z.iso.datetime({ offset: true })]);

const say = (line: string) => process.stderr.write(`${line}\n`);
const file = process.env.KEYS_FILE || undefined;

await runCommand(usage, async () => {
  const { values, positionals } = readArguments();
  const [command, subject, ...others] = positionals;
  if (others.length > 0) throw misused(positionals, usage);
  if (command === 'create' && subject !== undefined) await create(subject, values);
  else if (command === 'rotate' && subject !== undefined) await rotate(subject, values['keep-old']);
  else if (command === 'revoke' && subject !== undefined) await revoke(subject);
  else if (command === 'list' && subject === undefined) await list();
  else throw misused(positionals, usage);
});

type Values = ReturnType<typeof readArguments>['values'];

async function create(name: string, values: Values): Promise<void> {
  const key = makeApiKey(makeApiKeyId());
  const record = parseOptions(name, values, {
    id: key.split('_')[1],
    name,
    sha256: hashApiKey(key).toString('hex'),
    scopes: splitList(values.scopes ?? 'score'),
    models: values.models === undefined ? undefined : splitList(values.models),
    perSecond: toNumber(values['per-second']),
    burst: toNumber(values.burst),
    concurrent: toNumber(values.concurrent),
    createdAt: new Date().toISOString(),
    expiresAt: values.expires === undefined ? undefined : readFuture('expires', values.expires),
  });
  await keep(record);
  noteAbsent(record.models ?? []);
  const end = record.expiresAt === undefined ? '' : `, valid until ${record.expiresAt}`;
  show(key, `The key "${name}", with the id ${record.id}${end}. It is shown this once:`);
  await untilItCounts();
}

/** The models may come later, or be elsewhere. */
function noteAbsent(names: readonly string[]): void {
  if (!existsSync(modelsDirectory)) return;
  const here = listModels(modelsDirectory);
  const absent = names.filter((name) => !here.includes(name));
  if (absent.length === 0) return;
  say(
    `Note: ${modelsDirectory} has no model ${absent.join(', ')}. The models there: ${listed(here, namesMax)}.`,
  );
}

async function rotate(id: string, keepOld = '24h'): Promise<void> {
  const until = readTime('keep-old', keepOld);
  const key = makeApiKey(id);
  const sha256 = hashApiKey(key).toString('hex');
  const replaceKey = (record: ApiKeyRecord) =>
    parseRecord({
      ...record,
      sha256,
      previous: [...formerKeys(record, until), { sha256: record.sha256, until }],
    });
  const { name } = await update(id, replaceKey);
  show(
    key,
    `The new key "${name}". The old one is valid until ${until}. The new one is shown this once:`,
  );
  await untilItCounts();
}

/** Keys of earlier rotations keep their ends, unless they are to end sooner now. */
function formerKeys(record: ApiKeyRecord, until: string) {
  return validFormer(record).map((each) => ({
    ...each,
    until: Date.parse(each.until) < Date.parse(until) ? each.until : until,
  }));
}

/** Returns the keys of earlier rotations that are still valid. */
function validFormer({ previous = [] }: ApiKeyRecord) {
  return previous.filter(({ until }) => Date.parse(until) > Date.now());
}

async function revoke(id: string): Promise<void> {
  if (file !== undefined) {
    throw wrong(
      `KEYS_FILE: expected keys in Redis, to revoke one here; got a file. Remove the record ${id} from ${file}.`,
    );
  }
  await withStore((store) => store.remove(id));
  await untilItCounts();
  say(`The key ${id} is revoked.`);
}

async function list(): Promise<void> {
  const records = await readRecords();
  // The API notes the uses of keys in a file, too, in its Redis.
  const uses = await withStore((store) => store.readUses()).catch((error) => {
    say(`When the keys were used is not known: ${coerceError(error).message}`);
    return new Map<string, number>();
  });
  if (records.length === 0) say(`There are no keys. Make one: ${makeKeyCommand}`);
  for (const record of records) {
    const { id, name, scopes, models, perSecond, burst, concurrent, expiresAt } = record;
    const used = uses.get(id);
    const parts = [
      `scopes ${scopes.join(',')}`,
      `models ${models?.join(',') ?? 'all'}`,
      perSecond === undefined
        ? ''
        : `${perSecond}/s${burst === undefined ? '' : `, ${burst} at once`}`,
      concurrent === undefined ? '' : `${concurrent} in flight`,
      expiresAt === undefined ? '' : `expires ${expiresAt}`,
      ...validFormer(record).map(({ until }) => `old key until ${until}`),
      used === undefined ? 'never used' : `used ${new Date(used).toISOString()}`,
    ];
    process.stdout.write(`${id}  ${name}\n    ${parts.filter((part) => part !== '').join('; ')}\n`);
  }
}

async function readRecords(): Promise<readonly ApiKeyRecord[]> {
  if (file !== undefined) return readApiKeyFile(file);
  return await withStore(async (store) => {
    const { records, faults } = await store.read();
    for (const { id, fault } of faults) say(`The record ${id} cannot be read: ${fault}`);
    return records;
  });
}

async function keep(record: ApiKeyRecord): Promise<void> {
  if (file === undefined) await withStore((store) => store.write(record));
  else print(record);
}

/** Changes a record where it is, or prints the changed one if the keys are in a file. */
async function update(
  id: string,
  make: (record: ApiKeyRecord) => ApiKeyRecord,
): Promise<ApiKeyRecord> {
  if (file === undefined) return await withStore((store) => store.update(id, make));
  const record = readApiKeyFile(file).find((each) => each.id === id);
  if (!record) throw noSuchKey(id);
  const next = make(record);
  print(next);
  return next;
}

function print(record: ApiKeyRecord): void {
  say(`Put this record into ${file}, instead of any other with this id:\n`);
  say(toYaml([JSON.parse(JSON.stringify(record))]));
}

/** Writes the key. Where standard output is no terminal, a line break would become part of it. */
function show(key: string, about: string): void {
  say(about);
  process.stdout.write(process.stdout.isTTY ? `${key}\n` : key);
}

/**
 * Waits until a change counts, so the next line of a script can use a new key. That was shown before: if the command is
 * interrupted now, nobody could show it any more.
 */
async function untilItCounts(): Promise<void> {
  if (file === undefined) await delay(changeCountsWithinMs);
}

async function withStore<T>(use: (store: ApiKeyStore) => Promise<T>): Promise<T> {
  const environment = { ...process.env };
  if (!environment.REDIS_URL) environment.REDIS_URL = findPrivateRedis();
  const configuration = readConfiguration('worker', environment);
  const settings = redisSettings(configuration);
  try {
    return await useRedis(settings, (redis) =>
      use(new ApiKeyStore(redis, makeKeys(settings.prefix))),
    );
  } catch (thrown) {
    if (thrown instanceof ScorelineError) throw thrown;
    const { reason, advice } = explain(thrown);
    const remedy = process.env.REDIS_URL
      ? advice
      : 'Run npm start, with the same DATA_DIR if this command has one, or set REDIS_URL.';
    throw new ScorelineError(
      'redis_unusable',
      `REDIS_URL: expected a Redis that keeps the keys; got ${reason}. ${remedy}`,
    );
  }
}

/** Parses a new record, and says of a wrong one which option was wrong. */
function parseOptions(name: string, values: Values, record: unknown): ApiKeyRecord {
  try {
    return parseApiKeyRecord(record);
  } catch (thrown) {
    if (!(thrown instanceof z.ZodError)) throw thrown;
    const faults = thrown.issues.map((issue) => {
      const option = optionOf[issue.path[0] as keyof typeof optionOf];
      const expected = messageOf(issue).replace('perSecond', '--per-second');
      return option === undefined
        ? `NAME: ${expected}; got ${name}`
        : `--${option}: ${expected}; got ${values[option]}`;
    });
    const text = [...new Set(faults)].join('\n');
    throw new ScorelineError('configuration_invalid', `${text}\n\n${usage}`);
  }
}

function parseRecord(value: unknown): ApiKeyRecord {
  try {
    return parseApiKeyRecord(value);
  } catch (thrown) {
    throw wrong(`${describeFault(thrown)}\n\n${usage}`);
  }
}

/** Reads a time, or a duration from now on. Returns it as RFC 3339 has it. */
function readTime(option: string, text: string): string {
  const [, amount, unit = ''] = /^(\d{1,6})([dhm])$/.exec(text) ?? [];
  // `Date.parse` takes much more: 45 would be the year 2045.
  const isTime = rfc3339.safeParse(text).success;
  const given = isTime ? Date.parse(text) : Number.NaN;
  const time = amount ? Date.now() + Number(amount) * (units[unit] as number) : given;
  if (Number.isFinite(time)) return new Date(time).toISOString();
  throw wrong(
    `--${option}: expected a duration such as 90d or 24h, or a time such as 2027-01-31T00:00:00Z; got ${text}`,
  );
}

function readFuture(option: string, text: string): string {
  const time = readTime(option, text);
  if (Date.parse(time) > Date.now()) return time;
  throw wrong(`--${option}: expected a time that is still to come; got ${time}`);
}

function readArguments() {
  return parseArguments({
    allowPositionals: true,
    options: {
      scopes: { type: 'string' },
      models: { type: 'string' },
      expires: { type: 'string' },
      'per-second': { type: 'string' },
      burst: { type: 'string' },
      concurrent: { type: 'string' },
      'keep-old': { type: 'string' },
    },
  });
}

function toNumber(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
