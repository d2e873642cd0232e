import { describe, expect, test } from 'vitest';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { errorOf } from './sample-model.js';

const read = (environment: NodeJS.ProcessEnv) => readConfiguration('api', environment);
const faultOf = (environment: NodeJS.ProcessEnv) => errorOf(() => read(environment)).message;

describe('without AUTH', () => {
  test.each(['127.0.0.1', '127.8.9.10', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost'])(
    'the API may listen on %s, which only this machine reaches',
    (HOST) => {
      expect(read({ HOST }).AUTH).toBeUndefined();
    },
  );

  test.each(['0.0.0.0', '::', '10.0.0.7', '::ffff:10.0.0.7', '1.127.0.0', 'api.example.org'])(
    'the API may not listen on %s, and the fault says how to go on',
    (HOST) => {
      const fault = faultOf({ HOST });
      expect(fault).toMatch(/^AUTH: expected keys, oidc or keys,oidc/);
      expect(fault).toContain(`HOST=${HOST}`);
      expect(fault).toContain('npm run keys -- create');
      expect(fault).toContain('in a container: node /app/dist/cli/keys.js create');
      expect(fault).toContain('AUTH=none');
    },
  );

  test('an empty value counts as none, so it opens nothing', () => {
    expect(faultOf({ HOST: '0.0.0.0', AUTH: '' })).toMatch(/^AUTH: /);
  });
});

describe('AUTH', () => {
  const oidc = { OIDC_ISSUER: 'https://issuer.example.org', OIDC_AUDIENCE: 'scoreline' };

  test.each([
    ['none', []],
    ['keys', ['keys']],
    ['oidc', ['oidc']],
    ['keys,oidc', ['keys', 'oidc']],
    [' oidc , keys ', ['oidc', 'keys']],
  ])('may be %j, on any address', (AUTH, methods) => {
    const more = methods.includes('oidc') ? oidc : {};
    expect(read({ HOST: '0.0.0.0', AUTH, ...more }).AUTH).toEqual(methods);
  });

  test.each(['None', 'key', 'keys,none', 'none,oidc', 'off', 'false', ','])(
    'may not be %j',
    (AUTH) => {
      expect(faultOf({ AUTH })).toMatch(/^AUTH: /);
    },
  );

  test('with oidc needs to know the issuer and the audience', () => {
    const fault = faultOf({ AUTH: 'keys,oidc' });
    expect(fault).toMatch(/^OIDC_ISSUER: .*\nOIDC_AUDIENCE: /);
  });

  test.each([
    [{ OIDC_ISSUER: 'https://issuer.example.org' }, 'OIDC_ISSUER'],
    [{ AUTH: 'keys', OIDC_ISSUER: 'https://issuer.example.org' }, 'OIDC_ISSUER'],
    [{ KEYS_FILE: 'keys.yaml' }, 'KEYS_FILE'],
    [{ AUTH: 'none', KEYS_FILE: 'keys.yaml' }, 'KEYS_FILE'],
    [{ CALLER_PER_SECOND_MAX: '5' }, 'CALLER_PER_SECOND_MAX'],
    [{ AUTH: 'none', CALLER_CONCURRENT_MAX: '5' }, 'CALLER_CONCURRENT_MAX'],
    [{ AUTH: 'keys', CALLER_BURST_MAX: '5' }, 'CALLER_BURST_MAX'],
  ])('is needed for what would otherwise be ignored: %j', (environment, key) => {
    expect(faultOf(environment)).toMatch(new RegExp(`^${key}: expected .* with it`));
  });
});

describe('OIDC_ISSUER', () => {
  const readIssuer = (OIDC_ISSUER: string) =>
    read({ AUTH: 'oidc', OIDC_AUDIENCE: 'a', OIDC_ISSUER });

  test.each([
    'https://login.microsoftonline.com/tenant/v2.0',
    'http://127.0.0.1:4000',
    'http://localhost:4000',
    'http://[::1]:4000',
  ])('may be %s', (issuer) => {
    expect(readIssuer(issuer).OIDC_ISSUER).toBe(issuer);
  });

  test.each([
    'http://issuer.example.org',
    'http://127.0.0.1.example.org',
    'https://user:password@issuer.example.org',
    'https://issuer.example.org?a=b',
    'issuer.example.org',
    'ftp://issuer.example.org',
  ])('may not be %s', (issuer) => {
    expect(errorOf(() => readIssuer(issuer)).message).toMatch(/^OIDC_ISSUER: /);
  });
});

describe('what tokens must be like', () => {
  const oidc = { AUTH: 'oidc', OIDC_ISSUER: 'https://issuer.example.org', OIDC_AUDIENCE: 'a' };

  test.each([
    ['OIDC_ALGORITHMS', 'none'],
    ['OIDC_ALGORITHMS', 'HS256'],
    ['OIDC_ALGORITHMS', 'RS256,HS256'],
    ['OIDC_CLOCK_SKEW_MS', '300001'],
    ['OIDC_CLOCK_SKEW_MS', '-1'],
    ['OIDC_SCORE_ROLES', ','],
    ['OIDC_AUDIENCE', ','],
    ['CALLER_PER_SECOND_MAX', '0'],
    ['CALLER_PER_SECOND_MAX', '0.01'],
    ['CALLER_PER_SECOND_MAX', 'many'],
    ['CALLER_CONCURRENT_MAX', '0.5'],
  ])('cannot be %s=%s', (key, value) => {
    expect(faultOf({ ...oidc, [key]: value })).toMatch(new RegExp(`^${key}: .*"${value}"$`, 's'));
  });

  test('can be said in lists', () => {
    const configuration = read({
      ...oidc,
      OIDC_AUDIENCE: 'a, b',
      OIDC_ALGORITHMS: 'ES256',
      OIDC_ADMIN_ROLES: 'Scoreline.Admin,ops',
      CALLER_PER_SECOND_MAX: '0.5',
    });
    expect(configuration).toMatchObject({
      OIDC_AUDIENCE: ['a', 'b'],
      OIDC_ALGORITHMS: ['ES256'],
      OIDC_ADMIN_ROLES: ['Scoreline.Admin', 'ops'],
      CALLER_PER_SECOND_MAX: 0.5,
    });
  });
});
