import { describe, expect, test } from 'vitest';
import { describeConfiguration, readConfiguration, redact } from '../../shared/configuration.js';
import { errorOf } from './sample-model.js';

describe('the configuration', () => {
  test('has defaults for an API', () => {
    expect(readConfiguration('api', {})).toEqual({
      REDIS_URL: 'redis://127.0.0.1:6379',
      QUEUE_PREFIX: 'scoreline',
      MODELS_DIR: 'models',
      LOG_LEVEL: 'info',
      HOST: '127.0.0.1',
      PORT: 8080,
      OIDC_ALGORITHMS: ['RS256', 'ES256'],
      OIDC_CLOCK_SKEW_MS: 30_000,
      OIDC_SCORE_ROLES: ['score'],
      OIDC_JOBS_ROLES: ['jobs'],
      OIDC_ADMIN_ROLES: ['admin'],
      BODY_BYTES_MAX: 16_777_216,
      IMAGE_PIXELS_MAX: 50_000_000,
      IMAGES_PER_REQUEST_MAX: 16,
      UV_THREADPOOL_SIZE: 4,
      PERMITS_MAX: 1024,
      BODIES_BYTES_MAX: 268_435_456,
      QUEUE_ITEMS_MAX: 10_000,
      RESULT_MS: 600_000,
      RESULTS_MAX: 100_000,
      CONNECTIONS_MAX: 10_000,
      HEADERS_MS_MAX: 10_000,
      REQUEST_MS_MAX: 60_000,
      SHUTDOWN_MS: 35_000,
    });
  });

  test('leaves room for the results of the largest request', () => {
    const bounds = { RESULTS_MAX: '15', IMAGES_PER_REQUEST_MAX: '16' };
    const error = errorOf(() => readConfiguration('api', bounds));
    expect(error.message).toMatch(/^RESULTS_MAX: expected at least IMAGES_PER_REQUEST_MAX.*"15"$/);
    expect(readConfiguration('api', { ...bounds, RESULTS_MAX: '16' }).RESULTS_MAX).toBe(16);
  });

  test('leaves room for the largest body', () => {
    const bounds = { BODY_BYTES_MAX: '5000', BODIES_BYTES_MAX: '4999' };
    const error = errorOf(() => readConfiguration('api', bounds));
    expect(error.message).toMatch(/^BODY_BYTES_MAX: expected at most BODIES_BYTES_MAX.*"5000"$/);
    expect(readConfiguration('api', { ...bounds, BODIES_BYTES_MAX: '5000' })).toBeDefined();
  });

  test('has defaults for a worker, which leaves before the platform kills it', () => {
    expect(readConfiguration('worker', {})).toEqual({
      REDIS_URL: 'redis://127.0.0.1:6379',
      QUEUE_PREFIX: 'scoreline',
      MODELS_DIR: 'models',
      LOG_LEVEL: 'info',
      SHUTDOWN_MS: 25_000,
    });
  });

  test('parses numbers and lists', () => {
    const configuration = readConfiguration('api', { PORT: '0', MODELS: 'a, b ,c' });
    expect(configuration.PORT).toBe(0);
    expect(configuration.MODELS).toEqual(['a', 'b', 'c']);
  });

  test('treats an empty variable as unset', () => {
    const configuration = readConfiguration('api', { PORT: '', MODELS: '', HOST: '' });
    expect(configuration).toEqual(readConfiguration('api', {}));
  });

  test('ignores the variables of other programs', () => {
    expect(readConfiguration('worker', { PORT: 'no port', HOME: '/root' })).toEqual(
      readConfiguration('worker', {}),
    );
  });

  test('is frozen', () => {
    const configuration = readConfiguration('api', {});
    expect(() => Object.assign(configuration, { PORT: 1 })).toThrow(TypeError);
    expect(configuration.PORT).toBe(8080);
  });

  test('has a description and a default for every key', () => {
    const rows = describeConfiguration('api');
    expect(rows).toContainEqual(expect.objectContaining({ key: 'PORT', default: 8080 }));
    for (const { key, description } of rows) expect(description, key).not.toBe('');
  });
});

describe('a wrong configuration', () => {
  test('is refused with all of its faults: key, message and value', () => {
    const error = errorOf(() =>
      readConfiguration('api', {
        PORT: '70000',
        PERMITS_MAX: 'many',
        LOG_LEVEL: 'loud',
        QUEUE_PREFIX: 'two words',
        BODY_BYTES_MAX: '2048.5',
        REDIS_URL: 'http://localhost:6379',
      }),
    );
    expect(error.code).toBe('configuration_invalid');
    const lines = error.message.split('\n').toSorted();
    expect(lines.map((line) => line.replace(/:.*; got /, ' ← '))).toEqual([
      'BODY_BYTES_MAX ← "2048.5"',
      'LOG_LEVEL ← "loud"',
      'PERMITS_MAX ← "many"',
      'PORT ← "70000"',
      'QUEUE_PREFIX ← "two words"',
      'REDIS_URL ← "http://localhost:6379"',
    ]);
    expect(error.message).toContain('PORT: Too big: expected number to be <=65535');
    expect(error.message).toContain('QUEUE_PREFIX: expected a text without blanks');
  });

  test.each([
    ['localhost:6379', 'it does not begin with redis:// or rediss://'],
    ['redis://', 'it has no host'],
    ['redis://:6379', 'it cannot be read'],
    ['redis:///tmp/redis.sock', 'it has no host'],
    ['redis://localhost:port', 'it cannot be read'],
    ['redis://localhost/queue', 'its database is not a number'],
    ['redis://localhost/1/2', 'its database is not a number'],
    ['redis://:pass#word@localhost', 'write %23 for #'],
    ['redis://:pass/word@localhost', '%2F for /'],
    ['redis://:100%@localhost', 'it has a % that stands for nothing'],
    ['redis://localhost#1', 'it has a #'],
  ])('may not have %s as REDIS_URL, and says what form it has', (REDIS_URL, fault) => {
    const { message } = errorOf(() => readConfiguration('worker', { REDIS_URL }));
    const form = 'redis://[user:password@]host[:port][/database], or rediss:// in front for TLS';
    expect(message).toContain(`REDIS_URL: expected ${form}; `);
    expect(message).toContain(fault);
    if (REDIS_URL.includes('@')) expect(message).toContain('not shown');
    else expect(message).toContain(`got "${REDIS_URL}"`);
  });

  test.each([
    'redis://localhost',
    'redis://localhost/',
    'rediss://user:pass%23word@redis.example.org:6380/15',
    'redis://[::1]:6379?family=6',
  ])('may have %s as REDIS_URL', (REDIS_URL) => {
    expect(readConfiguration('worker', { REDIS_URL }).REDIS_URL).toBe(REDIS_URL);
  });

  test.each(['-1', '65536', '80.5', 'http'])('may not have %s as a port', (PORT) => {
    const error = errorOf(() => readConfiguration('api', { PORT }));
    expect(error.message).toMatch(new RegExp(`^PORT: .*; got "${PORT}"$`));
  });
});

describe('the password in REDIS_URL', () => {
  const secret = 'hunter2';

  test.each([`redis://:${secret}@localhost:6379/1`, `rediss://user:${secret}@redis.example.org`])(
    'is used but not logged, for %s',
    (url) => {
      const configuration = readConfiguration('api', { REDIS_URL: url });
      expect(configuration.REDIS_URL).toBe(url);
      const logged = redact(configuration);
      expect(logged.REDIS_URL).toBe(url.replace(/\/\/.*@/, '//'));
      expect(logged.PORT).toBe(8080);
    },
  );

  test('is not logged either if it stands in REDIS_PASSWORD', () => {
    const configuration = readConfiguration('worker', { REDIS_PASSWORD: secret });
    expect(configuration.REDIS_PASSWORD).toBe(secret);
    expect(JSON.stringify(redact(configuration))).not.toContain(secret);
  });

  test.each([
    `http://user:${secret}@localhost:6379`,
    `redis://user:${secret}@local host:6379`,
    `redis://user:${secret}@localhost:port`,
    `${secret}@localhost`,
  ])('is not in the error for %s', (url) => {
    const error = errorOf(() => readConfiguration('api', { REDIS_URL: url }));
    expect(error.message).toMatch(/^REDIS_URL: .*; got /);
    expect(error.message).not.toContain(secret);
  });
});
