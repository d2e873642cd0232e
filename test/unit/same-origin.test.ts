// Which requests count as this machine's own, and which names of it are believed while everyone gets in.

import { describe, expect, test } from 'vitest';
import { isLocal, requirePrivateHost } from '../../api/http/gate/same-origin.js';

describe('a request', () => {
  test.each(['127.0.0.1', 'localhost:8080', '[::1]:8080'])('to %s is local', (host) => {
    expect(isLocal({ headers: { host } })).toBe(true);
  });

  test.each(['scoreline.example.com', '10.0.0.7:8080', '@', undefined])('to %s is not', (host) => {
    expect(isLocal({ headers: { host } })).toBe(false);
  });

  test.each([
    ['x-forwarded-for', '203.0.113.9'],
    ['x-forwarded-proto', 'https'],
    ['x-forwarded-host', '127.0.0.1'],
    ['x-real-ip', '203.0.113.9'],
    ['forwarded', 'for=203.0.113.9'],
    ['via', '1.1 proxy'],
    ['via', ''],
  ])('that a proxy passed on is not, as %s: %s says', (name, value) => {
    expect(isLocal({ headers: { host: '127.0.0.1', [name]: value } })).toBe(false);
  });
});

describe('without AUTH, a request', () => {
  test.each([
    ...[
      '127.0.0.1',
      '127.0.0.1:8080',
      '[::1]:8080',
      '10.0.0.7:8080',
      'localhost',
      'LOCALHOST:8080',
    ],
    ...['scoreline.localhost', 'host.docker.internal:8080', 'laptop.local', 'redis', 'api.test.'],
    undefined,
  ])('to %s gets in', (host) => {
    expect(() => requirePrivateHost({ headers: { host } })).not.toThrow();
  });

  test.each([
    ...['rebind.example.com', 'rebind.example.com:8080', 'example.com.', '127.0.0.1.example.com'],
    ...['localhost.example.com', 'test.example', '1.2.3.4.5', 'me@example.com'],
  ])('to %s does not, since others may own that name', (host) => {
    expect(() => requirePrivateHost({ headers: { host } })).toThrow(
      expect.objectContaining({ code: 'scope_missing', message: expect.stringContaining(host) }),
    );
  });
});
