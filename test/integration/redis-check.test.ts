import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import os from 'node:os';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { checkRedis } from '../../shared/redis/check.js';
import { aclRules, neededCommands } from '../../shared/redis/commands.js';
import {
  type CertificateFiles,
  hasOpenSsl,
  makeAuthority,
  makeCertificate,
} from '../certificate.js';
import { openRedis, openRedisForAll, type TestRedis, waitUntil } from '../harness.js';
import { listenOnFreePort } from '../peer.js';
import { makeProcess } from '../redis/process.js';
import {
  openMachine,
  openSentinels,
  type RedisServer,
  type SentinelGroup,
} from '../redis-groups.js';
import { readSnippets } from '../snippets.js';
import { writeFolder } from '../unit/sample-model.js';

/** An address of this machine that is not the loopback's. */
const outerAddress = Object.values(os.networkInterfaces())
  .flat()
  .find((found) => found && !found.internal && !found.address.startsWith('fe80'))?.address;

const redis = await openRedisForAll({ parameters: ['--databases', '4'] });
const address = redis.url.replace('redis://', '');

/** Checks a URL. Resolves to the lines that were logged. */
async function check(
  url: string,
  settings: Partial<Parameters<typeof checkRedis>[0]> = {},
): Promise<string[]> {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line).msg) });
  await checkRedis({ url, prefix: 'scoreline', log, ...settings });
  return lines;
}

const expectRefused = (url: string, detail: RegExp, settings?: Parameters<typeof check>[1]) =>
  expect(check(url, settings)).rejects.toMatchObject({
    code: 'redis_unusable',
    message: expect.stringMatching(detail),
  });

const addUser = (name: string, ...rules: string[]) =>
  redis.client.acl('SETUSER', name, 'reset', 'on', '>pass%word', ...rules);
const urlOf = (name: string) => `redis://${name}:pass%25word@${address}`;

const allRules = aclRules('scoreline');

describe('a user of Redis', () => {
  test('with the documented rights is accepted', async () => {
    await addUser('whole', ...allRules);
    expect(await check(urlOf('whole'))).toEqual([]);
    expect(await redis.client.keys('*')).toEqual([]);
  });

  test('made by the command in the docs is accepted, as a shell reads it', async () => {
    const block = readSnippets('docs/configuration.md').find(({ code }) => code.includes('ACL'));
    const shell = `redis-cli() { printf '%s\\n' "$@"; }\n${block?.code}`;
    const said = execFileSync('bash', ['-euc', shell], { encoding: 'utf8' });
    const [, , ...words] = said.trim().split('\n');
    await redis.client.acl('SETUSER', ...(words as [string, ...string[]]));
    expect(await check(`redis://scoreline:PASSWORD@${address}`)).toEqual([]);
  });

  test.each(neededCommands.map((name) => [name]))('without %s is told of it', async (name) => {
    await addUser('part', ...allRules, `-${name}`);
    const detail = new RegExp(`may not run ${name}. Allow them: ACL SETUSER part \\+${name}$`);
    await expectRefused(urlOf('part'), detail);
    expect(await redis.client.keys('*')).toEqual([]);
  });

  test('without several commands is told of all', async () => {
    await addUser('part', ...allRules, '-info', '-xadd');
    await expectRefused(urlOf('part'), /info, xadd. Allow them: ACL SETUSER part \+info \+xadd$/);
  });

  test('without our keys is told of their prefix', async () => {
    await addUser('elsewhere', ...allRules, 'resetkeys', '~other:*');
    await expectRefused(urlOf('elsewhere'), /Allow them: ACL SETUSER elsewhere ~scoreline:\*$/);
  });

  test('whose name or password is wrong is refused', async () => {
    const detail = /user and password that Redis accepts; got ones that it refuses. Check both/;
    await addUser('whole', ...allRules);
    for (const user of ['whole:wrong', 'nobody:x', 'whole', ':x']) {
      if (user === ':x') await redis.client.acl('SETUSER', 'default', 'resetpass', '>secret');
      await expectRefused(`redis://${user}@${address}`, detail);
    }
    await expectRefused(redis.url, detail);
    await redis.client.acl('SETUSER', 'default', 'nopass');
  });

  test('that may not select the database of the URL is refused', async () => {
    await addUser('whole', ...allRules);
    await expectRefused(`${urlOf('whole')}/1`, /expected a database 1 that this user may use/);
    await addUser('whole', ...allRules, '+select');
    await check(`${urlOf('whole')}/1`);
  });
});

describe('REDIS_URL', () => {
  test('with a database that does not exist is refused', async () => {
    await check(`${redis.url}/3`);
    await expectRefused(`${redis.url}/4`, /expected a database 4.*out of range.*another number/);
  });

  test.each([
    ['tls=yes', /no option but family; got "tls". Write rediss:\/\//],
    ['db=1', /got "db".*redis:\/\/host:6379\/1/],
    ['password=x', /got "password". Write it before the host/],
    ['keyPrefix=x', /QUEUE_PREFIX/],
    ['sentinels=a', /got "sentinels". Remove it/],
    ['family=5', /expected family=4 or family=6/],
  ])('with the option %s is refused', async (option, detail) => {
    await expectRefused(`${redis.url}?${option}`, detail);
  });

  test('with family=4 is accepted', async () => {
    await check(`redis://localhost:${new URL(redis.url).port}?family=4`);
  });

  test('with an unknown host is refused after a while', async () => {
    await Promise.all([
      expectRefused(
        'redis://redis.invalid:6379',
        /name of a host; got redis.invalid, which is unk/,
      ),
      expectRefused('redis://redis.invalid:6379?family=6', /no address of IPv6 .*, and family=6/),
    ]);
  });

  test('to a server of another kind is refused', async () => {
    const port = await listenOnFreePort(createHttpServer((_request, response) => response.end()));
    await expectRefused(`redis://127.0.0.1:${port}`, /expected a Redis at 127.0.0.1:\d+; got a se/);
  });

  test.skipIf(!outerAddress)('to a Redis in protected mode is refused', async () => {
    const parameters = ['--bind', '127.0.0.1', outerAddress ?? ''];
    const closed = await openRedis({ make: makeProcess, parameters });
    onTestFinished(() => closed.close());
    const host = outerAddress?.includes(':') ? `[${outerAddress}]` : outerAddress;
    await expectRefused(
      `redis://${host}:${new URL(closed.url).port}`,
      /one in protected mode. Give its default user a password/,
    );
  });

  test('to a Redis whose commands have other names is refused, and no user is blamed', async () => {
    const renamed = ['evalsha', 'xread'].flatMap((name) => ['--rename-command', name, '']);
    const other = await openRedis({ make: makeProcess, parameters: renamed });
    onTestFinished(() => other.close());
    await expectRefused(
      other.url,
      /one that does not know evalsha, xread. Look for rename-command/,
    );
  });

  test('to a node of a cluster is refused, unless it has all keys', async () => {
    const { part, whole } = await openTwoNodes();
    const url = ({ port }: RedisServer) => `redis://127.0.0.1:${port}`;
    await expectRefused(
      url(whole),
      /a node of a cluster: write redis\+cluster:\/\/ instead of redis/,
    );
    await expectRefused(url(part), /"MOVED \d+ .*write redis\+cluster:\/\/ instead of redis/);
    await check(url(whole), { prefix: '{scoreline}' });
  });
});

describe('a cluster', () => {
  test('is found by any of its nodes, though others are away', async () => {
    const { part, whole } = await openTwoNodes();
    const gone = await findFreePort();
    for (const { port } of [part, whole]) {
      const url = `redis+cluster://127.0.0.1:${gone},127.0.0.1:${port}`;
      expect(await check(url, { prefix: '{scoreline}' })).toEqual([]);
    }
  });

  test('needs no further rights of its user', async () => {
    const { part, whole } = await openTwoNodes();
    for (const { client } of [part, whole]) {
      await client.acl('SETUSER', 'few', 'on', '>pass', ...aclRules('{scoreline}'));
    }
    const url = `redis+cluster://few:pass@127.0.0.1:${part.port}`;
    expect(await check(url, { prefix: '{scoreline}' })).toEqual([]);
    const detail = /user and password that Redis accepts/;
    await expectRefused(url.replace('pass', 'wrong'), detail, { prefix: '{scoreline}' });
    const lacking = async (rule: string, remedy: RegExp) => {
      for (const { client } of [part, whole]) await client.acl('SETUSER', 'few', rule);
      await expectRefused(url, remedy, { prefix: '{scoreline}' });
    };
    await lacking('-exists', /Allow them: ACL SETUSER few \+exists$/);
    await lacking('resetkeys', /Allow them: ACL SETUSER few ~{scoreline}:\*$/);
  });
});

describe('Sentinels', () => {
  const sentinelPassword = 'known-to-sentinels';
  let group: SentinelGroup;
  let sentinels: string;
  beforeAll(async () => {
    group = await openSentinels({ sentinelPassword });
    sentinels = group.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  });
  afterAll(() => group?.close());

  test('lead to the primary, though some are away', async () => {
    const url = group.url.replace('://', `://127.0.0.1:${await findFreePort()},`);
    expect(await check(url, { sentinelPassword })).toEqual([]);
  });

  test.each([[undefined], ['wrong']])('with the password %s are refused', async (password) => {
    const detail = /password that the Sentinels accept.*Set REDIS_SENTINEL_PASSWORD/;
    await expectRefused(group.url, detail, { sentinelPassword: password });
  });

  test('that do not know the primary say which they know', async () => {
    const url = `redis+sentinel://${sentinels}/mymaster`;
    const detail = /primary that the Sentinels know; got "mymaster". Write one of theirs.*: main\./;
    await expectRefused(url, detail, { sentinelPassword });
  });

  test('are told from a Redis', async () => {
    const url = `redis+sentinel://127.0.0.1:${group.primary.port}/main`;
    await expectRefused(url, /a Sentinel at 127.0.0.1:\d+; got a Redis. Write redis:\/\/ instead/);
    const port = group.sentinels[0]?.port;
    const detail = /expected a Redis; got a Sentinel. Write redis\+sentinel:\/\/ instead/;
    await expectRefused(`redis://127.0.0.1:${port}`, detail, { password: sentinelPassword });
  });

  test('that are away are waited for', async () => {
    const ended = new AbortController();
    const log = pino({ level: 'info' }, { write: () => ended.abort(new Error('enough')) });
    const url = `redis+sentinel://127.0.0.1:${await findFreePort()}/main`;
    const checking = checkRedis({ url, prefix: 'scoreline', log, signal: ended.signal });
    await expect(checking).rejects.toThrow('enough');
  });
});

describe('TLS', () => {
  test('is refused where Redis does not speak it', async () => {
    await expectRefused(
      `rediss://${address}`,
      /takes TLS; got one that does not. Write redis instead of rediss/,
    );
  });

  describe.skipIf(!hasOpenSsl())('with a Redis that speaks it', () => {
    const directory = writeFolder({});
    let port: number;
    let secure: TestRedis;
    beforeAll(async () => {
      port = await findFreePort();
      const own = makeCertificate(directory);
      const parameters = [...tlsParameters(port, own), '--tls-ca-cert-file', own.certificate];
      secure = await openRedis({ make: makeProcess, parameters });
    });
    afterAll(async () => {
      await secure?.close();
      rmSync(directory, { recursive: true });
    });

    test('has to be asked for', async () => {
      await expectRefused(
        `redis://127.0.0.1:${port}`,
        /no TLS; got one that does. Write rediss instead of redis/,
      );
    });

    test('is refused with a certificate that nobody vouches for', async () => {
      const detail = /expected a certificate for localhost that.*NODE_EXTRA_CA_CERTS/;
      await expectRefused(`rediss://localhost:${port}`, detail);
    });

    test('is refused by an unknown authority, though Redis does not send its certificate', async () => {
      const silentPort = await findFreePort();
      const signed = makeAuthority(directory).sign();
      const parameters = tlsParameters(silentPort, signed);
      const silent = await openRedis({ make: makeProcess, parameters });
      onTestFinished(() => silent.close());
      const detail = /that this machine trusts.*unable to verify.*NODE_EXTRA_CA_CERTS/;
      await expectRefused(`rediss://localhost:${silentPort}`, detail);
    });
  });
});

describe('a Redis that is away', () => {
  test('is waited for, with one line in the log', async () => {
    const port = new URL(redis.url).port;
    await redis.stop();
    let done = false;
    const checking = check(`redis://127.0.0.1:${port}`).finally(() => {
      done = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(done).toBe(false);
    await redis.start();
    expect(await checking).toEqual([
      'Redis cannot be used; trying again until it can',
      'Redis is back',
    ]);
  });

  test('ends the wait when the process must end', async () => {
    const silent = createServer();
    const port = await listenOnFreePort(silent);
    let connections = 0;
    silent.on('connection', () => connections++);
    const ended = new AbortController();
    const checking = check(`redis://127.0.0.1:${port}`, { signal: ended.signal });
    await waitUntil('it connects', () => connections > 0);
    ended.abort(new Error('enough'));
    await expect(checking).rejects.toThrow('enough');
  });
});

/** Opens a cluster of two nodes, of which one has all slots. */
async function openTwoNodes() {
  const machine = openMachine();
  onTestFinished(machine.close);
  const start = () => machine.start([], ['cluster-enabled yes', 'cluster-node-timeout 1000']);
  const [part, whole] = await Promise.all([start(), start()]);
  await whole.client.cluster('ADDSLOTS', ...Array.from({ length: 16384 }, (_, slot) => slot));
  await part.client.cluster('MEET', '127.0.0.1', whole.port);
  for (const { client } of [whole, part]) {
    await waitUntil('the cluster is up', async () =>
      /cluster_state:ok/.test(String(await client.cluster('INFO'))),
    );
  }
  return { part, whole };
}

/** Returns what makes Redis speak TLS on a port. */
function tlsParameters(port: number, { key, certificate }: CertificateFiles): string[] {
  return [
    ['--tls-port', String(port), '--tls-auth-clients', 'no'],
    ['--tls-cert-file', certificate, '--tls-key-file', key],
  ].flat();
}
