// REDIS_URL: its form, and the connection that it asks for. We read it ourselves, because ioredis
// takes whatever options a URL has, and goes on with others when it cannot have those.

import { ScorelineError } from './errors.js';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  readonly isTls: boolean;
  /** 4 or 6 for addresses of this version of IP only, 0 for any. */
  readonly family: number;
}

export const redisUrlForm =
  'redis://[user:password@]host[:port][/database], or rediss:// in front for TLS';

/** Returns what is wrong with the form of a URL; undefined if it is right. */
export function findUrlFault(text: string): string | undefined {
  if (!/^rediss?:\/\//i.test(text)) return 'it does not begin with redis:// or rediss://';
  if (!URL.canParse(text)) {
    return 'it cannot be read. In a password, write %23 for #, %25 for %, %2F for /, %3F for ? and %40 for @';
  }
  const { hostname, pathname, hash, username, password } = new URL(text);
  if (hostname === '') return 'it has no host';
  if (!/^\/?(\d{1,9})?$/.test(pathname)) return 'its database is not a number';
  if (hash !== '') return 'it has a #. In a password, write %23';
  try {
    decodeURIComponent(username + password);
  } catch {
    return 'it has a % that stands for nothing. In a password, write %25';
  }
  return undefined;
}

/**
 * Reads a URL of the right form.
 * @param password used if the URL has none
 * @throws ScorelineError `redis_unusable` if it has an option that we cannot follow
 */
export function parseRedisUrl(text: string, password?: string): RedisAddress {
  const url = new URL(text);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    username: decodeURIComponent(url.username) || undefined,
    password: decodeURIComponent(url.password) || password,
    db: Number(url.pathname.slice(1)),
    isTls: url.protocol === 'rediss:',
    family: readFamily(url.searchParams),
  };
}

/** Returns a URL without its password and options, for the log. */
export function redactUrl(text: string): string {
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}

function readFamily(options: URLSearchParams): number {
  for (const name of options.keys()) {
    if (name === 'family') continue;
    throw unusable('no option but family', `"${name}"`, insteadOf[name] ?? 'Remove it.');
  }
  const family = options.get('family') ?? '0';
  if (/^[046]$/.test(family)) return Number(family);
  throw unusable('family=4 or family=6', 'another family', 'Correct it, or remove it.');
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
