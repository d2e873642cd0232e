// Which requests count as this machine's own.

import { describe, expect, test } from 'vitest';
import { isLocal } from '../../api/http/gate/same-origin.js';

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
