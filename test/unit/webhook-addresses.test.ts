// Tests where webhooks may go: addresses, the configuration of hosts, and what a name leads to.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeCheckedLookup } from '../../api/webhooks/checked-lookup.js';
import { findNetworkFault, isReachable } from '../../shared/addresses.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { errorOf } from './sample-model.js';

const secret = `whsec_${Buffer.alloc(32).toString('base64')}`;

describe('an address', () => {
  test.each(['93.184.215.14', '1.1.1.1', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'])(
    '%s is public',
    (address) => {
      expect(isReachable(address, [])).toBe(true);
    },
  );

  test.each([
    ...['10.0.0.1', '172.16.0.1', '192.168.1.1', '127.0.0.1', '100.64.0.1', '192.0.2.1'],
    ...['198.18.0.1', '240.0.0.1', 'fd00::1', '::1', '2001:db8::1', '4000::1', '5f00::1'],
  ])('%s is reached only in a network that the operator names', (address) => {
    expect(isReachable(address, [])).toBe(false);
    expect(isReachable(address, ['11.0.0.0/8', 'fc00::/128'])).toBe(false);
    expect(isReachable(address, [`${address}/${address.includes(':') ? 128 : 32}`])).toBe(true);
  });

  test.each([
    ...['0.0.0.0', '255.255.255.255', '224.0.0.1', '169.254.169.254', '168.63.129.16'],
    ...['100.100.100.200', '::', 'fe80::1', 'ff02::1', 'fd00:ec2::254', '::ffff:10.0.0.1'],
    ...['fd00:ec2::23', 'fd20:ce::254'],
    ...['::ffff:8.8.8.8', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', '', 'localhost'],
  ])('%j is never reached', (address) => {
    const networks = ['0.0.0.0/8', '10.0.0.0/8', '100.0.0.0/8', '168.0.0.0/8', 'fc00::/7'];
    expect(isReachable(address, networks)).toBe(false);
  });

  test('that is IPv4 is never reached as IPv6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(isReachable(`::ffff:${address}`, [])).toBe(false);
      }),
    );
  });

  test.each(['169.254.0.0/16', '169.254.169.254/32', 'fe80::/64', '224.0.0.0/8', '::ffff:0:0/96'])(
    'cannot be in a network that is never reached: %s',
    (network) => {
      expect(findNetworkFault(network)).toMatch(/other than link-local/);
    },
  );

  test.each(['10.0.0.0/7', '0.0.0.0/0', 'fc00::/6', '10.0.0.0', '10.0.0.0/33', 'x/8'])(
    'cannot be in a network of the form %s',
    (network) => {
      expect(findNetworkFault(network)).toMatch(/expected a network/);
    },
  );
});

describe('WEBHOOK_HOSTS', () => {
  const read = (WEBHOOK_HOSTS: string, WEBHOOK_SECRETS = secret) =>
    readConfiguration('api', { WEBHOOK_HOSTS, WEBHOOK_SECRETS });

  test('names hosts, and the networks of some', () => {
    const hosts =
      'hooks.example.com, HOOKS.example.com:8443, http://receiver:8080=10.0.0.0/8=fd00::/8, https://1.1.1.1';
    expect(read(hosts).WEBHOOK_HOSTS).toEqual([
      { origin: 'https://hooks.example.com', networks: [] },
      { origin: 'https://hooks.example.com:8443', networks: [] },
      { origin: 'http://receiver:8080', networks: ['10.0.0.0/8', 'fd00::/8'] },
      { origin: 'https://1.1.1.1', networks: [] },
    ]);
    expect(readConfiguration('api', {}).WEBHOOK_HOSTS).toEqual([]);
  });

  test.each([
    ['ftp://hooks.example.com', /expected hosts such as/],
    ['https://user@hooks.example.com', /expected hosts such as/],
    ['https://hooks.example.com/path', /expected hosts such as/],
    ['*.example.com', /expected hosts such as/],
    ['https://10.0.0.1', /expected a public address, or its network behind it/],
    ['http://127.0.0.1:80=10.0.0.0/8', /such as http:\/\/127\.0\.0\.1:80=127\.0\.0\.1\/32/],
    ['https://[::1]', /such as https:\/\/\[::1\]=::1\/128/],
    ['http://2130706433', /expected a public address/],
    ['http://169.254.169.254=169.254.0.0/16', /other than link-local, multicast, metadata/],
    ['http://receiver=everything', /expected a network such as/],
  ])('refuses %s', (hosts, message) => {
    expect(errorOf(() => read(hosts)).message).toMatch(message);
  });

  test('needs a secret for each host, which no message shows', () => {
    const two = 'a.example.com,b.example.com:8443';
    expect(read(two, `a.example.com=${secret},b.example.com:8443=${secret}`)).toBeDefined();
    const cases: [string, string, RegExp][] = [
      [two, '', /expected a secret for a\.example\.com.*openssl rand/],
      [two, `a.example.com=${secret}`, /expected a secret for b\.example\.com:8443/],
      [two, `${secret},c.example.com=${secret}`, /c\.example\.com is not among them/],
      ['', secret, /expected WEBHOOK_HOSTS with it/],
      [two, 'whsec_dG9vc2hvcnQ=', /24 to 64 bytes/],
      [two, 'c2VjcmV0', /expected secrets of the form whsec_/],
    ];
    for (const [hosts, secrets, message] of cases) {
      const error = errorOf(() => read(hosts, secrets));
      expect(error.message).toMatch(message);
      if (secrets !== '') expect(error.message).not.toContain(secrets);
    }
  });
});

describe('the lookup of a host', () => {
  const look = (addresses: readonly string[], networks: readonly string[] = []) =>
    new Promise<readonly string[]>((resolve, reject) => {
      const found = addresses.map((address) => ({
        address,
        family: address.includes(':') ? 6 : 4,
      }));
      makeCheckedLookup(networks, async () => found)(
        'hooks.example.com',
        { all: true },
        (error, all) => {
          if (error) reject(error);
          else resolve((all as unknown as typeof found).map(({ address }) => address));
        },
      );
    });

  test('hands on the addresses that it has checked', async () => {
    expect(await look(['1.1.1.1', '2606:4700::1111'])).toEqual(['1.1.1.1', '2606:4700::1111']);
    expect(await look(['10.1.2.3'], ['10.0.0.0/8'])).toEqual(['10.1.2.3']);
  });

  test('fails if only one of the addresses is not allowed', async () => {
    await expect(look(['1.1.1.1', '10.1.2.3'])).rejects.toThrow(
      /hooks\.example\.com leads to 10\.1\.2\.3, which is not a public address/,
    );
    await expect(look(['1.1.1.1', '::1'])).rejects.toThrow(/leads to ::1/);
  });

  test('fails without an address', async () => {
    await expect(look([])).rejects.toThrow(/has no address/);
  });
});
