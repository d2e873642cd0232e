// REDIS_URL: its forms, and the Redis that it asks for. We read it ourselves, because ioredis takes
// whatever options a URL has, and goes on with others when it cannot have those.
//
// A URL names one Redis, the Sentinels that know where a primary is, or nodes of a cluster. The forms
// for Sentinel and for sockets are those of other clients (redis-sentinel-url and redis on PyPI).

import { isIPv6 } from 'node:net';
import { ScorelineError } from '../errors.js';
import type { ClientCertificate } from './tls.js';

export type RedisKind = 'single' | 'sentinel' | 'cluster';

/** A server: a Redis or a Sentinel. */
export interface RedisNode {
  readonly host: string;
  readonly port: number;
  /** The socket of a Redis on this machine. It takes the place of host and port. */
  readonly path?: string;
}

export interface RedisAddress {
  readonly kind: RedisKind;
  /** The servers of the URL: the Redis, the Sentinels, or nodes of the cluster. */
  readonly nodes: readonly [RedisNode, ...RedisNode[]];
  /** The name by which the Sentinels know the primary; empty unless there are Sentinels. */
  readonly primary: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly sentinelPassword: string | undefined;
  /** Our own, for TLS. */
  readonly certificate: ClientCertificate | undefined;
  readonly db: number;
  readonly isTls: boolean;
  /** 4 or 6 for addresses of this version of IP only, 0 for any. */
  readonly family: number;
}

/** What REDIS_URL does not hold of its credentials. */
export interface RedisCredentials {
  /** Used if the URL has none. */
  readonly password?: string | undefined;
  readonly sentinelPassword?: string | undefined;
  readonly certificate?: ClientCertificate | undefined;
}

/** What the configuration says about Redis. */
export interface RedisSettings extends RedisCredentials {
  readonly url: string;
  /** What our keys begin with. In a cluster it says which node has them. */
  readonly prefix: string;
}

const forms: Readonly<Record<RedisKind, string>> = {
  single: 'redis://[user:password@]host[:port][/database]',
  sentinel:
    'redis+sentinel://[user:password@]host[:port][,host[:port]…]/name-of-the-primary[/database]',
  cluster: 'redis+cluster://[user:password@]host[:port][,host[:port]…]',
};

const socketForm = 'unix://[user:password@]/path/of/the/socket[?db=database]';

export const redisUrlForms: readonly string[] = [...Object.values(forms), socketForm];

/** Returns the form that a URL should have, to judge by its beginning. */
export function formOf(text: string): string {
  if (isSocketUrl(text)) return socketForm;
  return `${forms[kindOf(text)]}, or rediss instead of redis for TLS`;
}

/** Returns the prefix of our keys with this URL: in a cluster a hash tag, which keeps them together. */
export function defaultPrefix(text: string): string {
  return isClusterUrl(text) ? '{scoreline}' : 'scoreline';
}

/** Whether a URL asks for a cluster. */
export function isClusterUrl(text: string): boolean {
  return kindOf(text) === 'cluster';
}

/** Whether a URL asks for TLS. */
export function isTlsUrl(text: string): boolean {
  return /^rediss/i.test(text);
}

/** Whether a URL names a Redis on this machine by its socket. */
export function isSocketUrl(text: string): boolean {
  return /^unix:/i.test(text);
}

/** Whether all keys that begin with the prefix lie in one slot of a cluster. */
export function hasHashTag(prefix: string): boolean {
  return /^[^{]*\{[^}]+\}/.test(prefix);
}

/** Returns what is wrong with the form of a URL; undefined if it is right. */
export function findUrlFault(text: string): string | undefined {
  if (!/^(rediss?(\+sentinel|\+cluster)?|unix):\/\//i.test(text)) {
    return 'it does not begin with redis://, redis+sentinel://, redis+cluster:// or unix://';
  }
  const parts = split(text);
  if (parts && isSocketUrl(text)) return findSocketFault(parts);
  if (!parts || !isReadable(parts)) {
    return 'it cannot be read. In a password, write %23 for #, %25 for %, %2F for /, %3F for ? and %40 for @';
  }
  const { hosts, path, withHost } = parts;
  const kind = kindOf(text);
  if (hosts.some((host) => new URL(withHost(host)).hostname === '')) {
    const isPath = kind === 'single' && path.length > 1;
    return `it has no host${isPath ? `. For a socket, write unix://${path}` : ''}`;
  }
  if (kind === 'single' && hosts.length > 1) {
    return 'it has several hosts. Write redis+sentinel:// or redis+cluster:// in front of them';
  }
  return findPathFault(kind, path) ?? findLoginFault(withHost(hosts[0]));
}

/** A socket has a path of its own, and its database is an option. */
function findSocketFault({ hosts, path, withHost }: Parts): string | undefined {
  if (hosts.join() !== '' || path.length < 2) {
    return 'it has no absolute path. Write three slashes in front of it: unix:///run/redis/redis.sock';
  }
  if (!canDecode(path)) return 'it has a % that stands for nothing. In a path, write %25';
  if (!URL.canParse(withHost(''))) return 'its user or password cannot be read';
  const { searchParams } = new URL(withHost(''));
  if (!/^\d{0,9}$/.test(searchParams.get('db') ?? '')) return 'its database is not a number';
  return findLoginFault(withHost(''));
}

/** @param text a URL with one host */
function findLoginFault(text: string): string | undefined {
  const { hash, username, password } = new URL(text);
  if (hash !== '') return 'it has a #. In a password, write %23';
  if (!canDecode(username + password)) {
    return 'it has a % that stands for nothing. In a password, write %25';
  }
  return undefined;
}

/** A password with a / in it would end up in the path. */
function isReadable({ hosts, path, withHost }: Parts): boolean {
  return !path.includes('@') && hosts.every((host) => URL.canParse(withHost(host)));
}

function findPathFault(kind: RedisKind, path: string): string | undefined {
  const [, name = '', database = ''] = /^\/?([^/]*)\/?(.*)$/.exec(path) ?? [];
  if (kind === 'cluster') {
    return path.length > 1
      ? 'a cluster has no databases. Remove what follows the hosts'
      : undefined;
  }
  if (kind === 'sentinel') {
    if (name === '' || !canDecode(name)) {
      return 'it has no name of a primary. Write it behind the hosts, such as /mymaster';
    }
    return /^(\d{1,9})?$/.test(database) ? undefined : 'its database is not a number';
  }
  return /^\/?(\d{1,9})?$/.test(path) ? undefined : 'its database is not a number';
}

/**
 * Reads a URL of the right form.
 * @throws ScorelineError `redis_unusable` if it has an option that we cannot follow
 */
export function parseRedisUrl(text: string, credentials: RedisCredentials = {}): RedisAddress {
  const kind = kindOf(text);
  const { hosts, path, withHost } = split(text) as Parts;
  const url = new URL(withHost(hosts[0]));
  const login = {
    username: decodeURIComponent(url.username) || undefined,
    password: decodeURIComponent(url.password) || credentials.password,
    sentinelPassword: credentials.sentinelPassword,
    certificate: credentials.certificate,
  };
  if (isSocketUrl(text)) {
    const nodes = [{ host: 'localhost', port: 0, path: decodeURIComponent(path) }] as const;
    refuseOptions(url.searchParams, ['db'], {});
    const db = Number(url.searchParams.get('db') ?? 0);
    return { kind, nodes, primary: '', ...login, db, isTls: false, family: 0 };
  }
  const [name = '', database = ''] =
    kind === 'sentinel' ? path.slice(1).split('/') : ['', path.slice(1)];
  const [first, ...rest] = hosts.map((host) => readNode(withHost(host), kind));
  return {
    kind,
    nodes: [first as RedisNode, ...rest],
    primary: decodeURIComponent(name),
    ...login,
    db: Number(database),
    isTls: isTlsUrl(text),
    family: readFamily(url.searchParams),
  };
}

/** Returns a URL without its password and options, for the log. */
export function redactUrl(text: string): string {
  const { scheme, hosts, path } = split(text) as Parts;
  return `${scheme}://${hosts.join(',')}${path}`;
}

/** Returns a server as a URL has it. */
export function describeNode({ host, port, path }: RedisNode): string {
  if (path !== undefined) return path;
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

interface Parts {
  readonly scheme: string;
  readonly hosts: readonly [string, ...string[]];
  readonly path: string;
  /** Returns the URL with one of its hosts only, which `URL` can read. */
  withHost(host: string): string;
}

function split(text: string): Parts | undefined {
  const found = /^([a-z+]+):\/\/([^/?#]*@)?([^/?#]*)([^?#]*)(.*)$/i.exec(text);
  if (!found) return undefined;
  const [, scheme = '', login = '', hosts = '', path = '', rest = ''] = found;
  const [first = '', ...others] = hosts.split(',');
  return {
    scheme: scheme.toLowerCase(),
    hosts: [first, ...others],
    path,
    withHost: isSocketUrl(`${scheme}:`)
      ? () => `redis://${login}localhost/${rest}`
      : (host) => `redis://${login}${host}${path}${rest}`,
  };
}

function kindOf(text: string): RedisKind {
  const [, kind] = /^rediss?\+(sentinel|cluster):/i.exec(text) ?? [];
  return (kind?.toLowerCase() as RedisKind | undefined) ?? 'single';
}

function readNode(text: string, kind: RedisKind): RedisNode {
  const { hostname, port } = new URL(text);
  const host = hostname.replace(/^\[|\]$/g, '');
  return { host, port: Number(port || (kind === 'sentinel' ? 26379 : 6379)) };
}

function canDecode(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function readFamily(options: URLSearchParams): number {
  refuseOptions(options, ['family'], insteadOf);
  const family = options.get('family') ?? '0';
  if (/^[046]$/.test(family)) return Number(family);
  throw unusable('family=4 or family=6', 'another family', 'Correct it, or remove it.');
}

/** @throws ScorelineError `redis_unusable` if there is another option */
function refuseOptions(
  options: URLSearchParams,
  known: readonly string[],
  advice: Readonly<Record<string, string>>,
): void {
  for (const name of options.keys()) {
    if (known.includes(name)) continue;
    const expected = `no option but ${known.join(', ')}`;
    throw unusable(expected, `"${name}"`, advice[name] ?? 'Remove it.');
  }
}

const insteadOf: Readonly<Record<string, string>> = {
  db: 'Write the number of the database behind the host: redis://host:6379/1.',
  host: 'Write the host in its place: redis://host:6379.',
  port: 'Write the port behind the host: redis://host:6379.',
  username: 'Write it before the host: redis://user:password@host:6379.',
  password: 'Write it before the host: redis://user:password@host:6379.',
  tls: 'Write rediss:// instead of redis:// for TLS.',
  keyPrefix: 'Set QUEUE_PREFIX instead.',
};

/** Returns a refusal: what REDIS_URL was expected to lead to, what it leads to, and what to do. */
export function unusable(
  expected: string,
  got: string,
  advice: string,
  cause?: unknown,
): ScorelineError {
  return new ScorelineError(
    'redis_unusable',
    `REDIS_URL: expected ${expected}; got ${got}. ${advice}`,
    { cause },
  );
}
