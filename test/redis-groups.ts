// Shared by the tests: groups of real Redis servers on this machine, a primary with its replica and three
// Sentinels, and a cluster of three nodes with a replica.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { ensureRedisServer, findFreePort } from '../cli/redis/redis.js';
import { waitUntil } from './harness.js';

/** One redis-server process of a group. */
export interface RedisServer {
  readonly port: number;
  readonly client: Redis;
  /** Sends the process a signal, which may end it. */
  kill(signal: NodeJS.Signals): void;
}

export interface SentinelGroup {
  /** The value of REDIS_URL. */
  readonly url: string;
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
  close(): void;
}

export interface ClusterGroup {
  /** The value of REDIS_URL. */
  readonly url: string;
  /** Three nodes. The first has the keys of `{scoreline}`. */
  readonly nodes: readonly [RedisServer, RedisServer, RedisServer];
  /** Of the first node. */
  readonly replica: RedisServer;
  /** The hash slot of `{scoreline}`. */
  readonly slot: number;
  close(): void;
}

export const primaryName = 'main';
const slots = 16_384;

/** How long a server may be silent before others take it for dead. */
const downAfterMs = 2500;

/** Starts a primary, its replica, and three Sentinels that know both. */
export async function openSentinels(
  options: { sentinelPassword?: string } = {},
): Promise<SentinelGroup> {
  const machine = openMachine();
  const { sentinelPassword } = options;
  const primary = await machine.start([]);
  const replica = await machine.start(['--replicaof', `127.0.0.1 ${primary.port}`]);
  const settings = [
    `sentinel monitor ${primaryName} 127.0.0.1 ${primary.port} 2`,
    `sentinel down-after-milliseconds ${primaryName} ${downAfterMs}`,
    `sentinel failover-timeout ${primaryName} 6000`,
    ...(sentinelPassword ? [`requirepass ${sentinelPassword}`] : []),
    ...(sentinelPassword ? [`sentinel sentinel-pass ${sentinelPassword}`] : []),
  ];
  await untilFollowing(replica);
  const password = sentinelPassword ? { password: sentinelPassword } : {};
  const sentinels = await Promise.all(
    [0, 1, 2].map(() => machine.start(['--sentinel'], settings, password)),
  );
  for (const { client } of sentinels) {
    await waitUntil('the Sentinels know each other and the replica', async () => {
      const fields = (await client.call('SENTINEL', 'master', primaryName)) as string[];
      const count = (field: string) => Number(fields[fields.indexOf(field) + 1]);
      return count('num-other-sentinels') === 2 && count('num-slaves') === 1;
    });
  }
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const url = `redis+sentinel://${hosts}/${primaryName}`;
  return { url, primary, replica, sentinels, close: machine.close };
}

/** Starts a cluster of three nodes, and a replica of the one that has the keys of `{scoreline}`. */
export async function openCluster(): Promise<ClusterGroup> {
  const machine = openMachine();
  const settings = ['cluster-enabled yes', `cluster-node-timeout ${downAfterMs}`];
  const servers = await Promise.all([0, 1, 2, 3].map(() => machine.start([], settings)));
  const [first, second, third, replica] = servers as [
    RedisServer,
    RedisServer,
    RedisServer,
    RedisServer,
  ];
  const slot = Number(await first.client.cluster('KEYSLOT', '{scoreline}'));
  // The first node has the slot and those around it.
  const from = Math.max(0, slot - 2000);
  const to = Math.min(slots, slot + 2000);
  const middle = Math.floor(slots / 2);
  await addSlots(first, from, to);
  await addSlots(second, 0, Math.min(from, middle));
  await addSlots(second, to, Math.max(to, middle));
  await addSlots(third, Math.min(from, middle), from);
  await addSlots(third, Math.max(to, middle), slots);
  for (const [index, { client }] of servers.entries()) {
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  }
  for (const { port } of servers.slice(1)) await first.client.cluster('MEET', '127.0.0.1', port);
  for (const { client } of servers) {
    await waitUntil('the cluster is up', async () => {
      const info = await client.cluster('INFO');
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:4');
    });
  }
  await replica.client.cluster('REPLICATE', String(await first.client.cluster('MYID')));
  await untilFollowing(replica);
  const hosts = servers.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const url = `redis+cluster://${hosts}`;
  await waitUntil('all know the replica', async () => {
    const views = await Promise.all(servers.map(({ client }) => client.cluster('NODES')));
    return views.every((view) => /\bslave\b/.test(String(view)));
  });
  return { url, nodes: [first, second, third], replica, slot, close: machine.close };
}

export async function untilPrimary({ client }: RedisServer): Promise<void> {
  await waitUntil('the replica is the primary', async () =>
    (await client.info('replication')).includes('role:master'),
  );
}

/** Moves the slot of `{scoreline}` with its keys, as `redis-cli --cluster reshard` does. */
export async function moveSlot(
  { nodes, replica, slot }: ClusterGroup,
  way: { from: RedisServer; to: RedisServer; between?: () => Promise<void> },
): Promise<void> {
  const { from, to, between } = way;
  const [fromId, toId] = await Promise.all([
    from.client.cluster('MYID').then(String),
    to.client.cluster('MYID').then(String),
  ]);
  await to.client.cluster('SETSLOT', slot, 'IMPORTING', fromId);
  await from.client.cluster('SETSLOT', slot, 'MIGRATING', toId);
  let isFirst = true;
  for (;;) {
    const keys = await from.client.cluster('GETKEYSINSLOT', slot, 1);
    if (keys.length === 0) break;
    await from.client.migrate('127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys);
    if (isFirst) await between?.();
    isFirst = false;
  }
  const others = [...nodes, replica].filter((node) => node !== from && node !== to);
  for (const { client } of [to, from]) await client.cluster('SETSLOT', slot, 'NODE', toId);
  // A node that is dead does not answer.
  for (const { client } of others) client.cluster('SETSLOT', slot, 'NODE', toId).catch(() => {});
}

async function addSlots({ client }: RedisServer, from: number, to: number): Promise<void> {
  if (to > from) {
    await client.cluster('ADDSLOTS', ...Array.from({ length: to - from }, (_, at) => from + at));
  }
}

export async function untilFollowing({ client }: RedisServer): Promise<void> {
  await waitUntil('the replica follows', async () =>
    (await client.info('replication')).includes('master_link_status:up'),
  );
}

/** Makes what starts servers. They end together, with their files. */
export function openMachine() {
  const program = ensureRedisServer(() => {});
  const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-redis-group-'));
  const processes: ChildProcess[] = [];
  const clients: Redis[] = [];

  /**
   * @param parameters of the command line
   * @param settings lines of the configuration file
   */
  const start = async (
    parameters: readonly string[],
    settings: readonly string[] = [],
    login: { password?: string } = {},
  ): Promise<RedisServer> => {
    const port = await findBusPort();
    const folder = path.join(directory, String(port));
    mkdirSync(folder);
    const file = path.join(folder, 'redis.conf');
    const common = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      'repl-diskless-sync-delay 0',
    ];
    const isSentinel = parameters.includes('--sentinel');
    const own = isSentinel ? common.slice(0, 3) : [...common, 'appendonly yes', 'save ""'];
    writeFileSync(file, [...own, ...settings, ''].join('\n'));
    const child = spawn(program, [file, ...parameters], { stdio: 'ignore' });
    processes.push(child);
    const client = new Redis({
      port,
      host: '127.0.0.1',
      ...login,
      maxRetriesPerRequest: null,
      retryStrategy: () => 50,
    });
    client.on('error', () => {});
    clients.push(client);
    const ended = once(child, 'exit').then(() => {
      throw new Error(`redis-server does not start with ${file}.`);
    });
    ended.catch(() => {});
    await Promise.race([client.ping(), ended]);
    return { port, client, kill: (signal) => void child.kill(signal) };
  };

  const close = () => {
    for (const client of clients) client.disconnect();
    for (const child of processes) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  return { start, close };
}

/** Returns a free port. Nodes of a cluster also use the port that is larger by 10,000. */
export function findBusPort(): Promise<number> {
  return findFreePort({ first: 11_000, end: 21_000 });
}
