import { expect, test } from 'vitest';
import { parseRedisUrl } from '../../shared/redis/url.js';

const nothing = {
  primary: '',
  username: undefined,
  password: undefined,
  sentinelPassword: undefined,
  db: 0,
  isTls: false,
  family: 0,
};

test.each([
  ['redis://localhost', { kind: 'single', nodes: [{ host: 'localhost', port: 6379 }] }],
  [
    'rediss://user:a%2Fb%40@[::1]:6380/2?family=6',
    {
      kind: 'single',
      nodes: [{ host: '::1', port: 6380 }],
      ...{ username: 'user', password: 'a/b@', db: 2, isTls: true, family: 6 },
    },
  ],
  [
    'redis+sentinel://:secret@one,[::1]:26380,two:1/main/3',
    {
      kind: 'sentinel',
      nodes: [
        { host: 'one', port: 26379 },
        { host: '::1', port: 26380 },
        { host: 'two', port: 1 },
      ],
      ...{ primary: 'main', password: 'secret', db: 3 },
    },
  ],
  [
    'REDISS+cluster://one,10.0.0.2:7000',
    {
      kind: 'cluster',
      nodes: [
        { host: 'one', port: 6379 },
        { host: '10.0.0.2', port: 7000 },
      ],
      isTls: true,
    },
  ],
  [
    'unix:///run/my%20redis/redis.sock',
    { kind: 'single', nodes: [{ host: 'localhost', port: 0, path: '/run/my redis/redis.sock' }] },
  ],
  [
    'unix:///run/a@b/redis.sock',
    { kind: 'single', nodes: [{ host: 'localhost', port: 0, path: '/run/a@b/redis.sock' }] },
  ],
  [
    'UNIX://user:a%2Fb%40@/redis.sock?db=3',
    {
      kind: 'single',
      nodes: [{ host: 'localhost', port: 0, path: '/redis.sock' }],
      ...{ username: 'user', password: 'a/b@', db: 3 },
    },
  ],
])('%s is read', (url, expected) => {
  expect(parseRedisUrl(url)).toEqual({ ...nothing, ...expected });
});

test('a password beside the URL is used if the URL has none', () => {
  const passwords = { password: 'beside', sentinelPassword: 'other' };
  expect(parseRedisUrl('redis+sentinel://one/main', passwords)).toMatchObject(passwords);
  expect(parseRedisUrl('redis://:inside@one', passwords).password).toBe('inside');
});
