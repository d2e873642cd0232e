import { describe, expect, test } from 'vitest';
import {
  describeConfiguration,
  findMisspeltSettings,
  readConfiguration,
  redact,
  redisSettings,
} from '../../shared/configuration/configuration.js';
import { errorOf } from './sample-model.js';

const telemetry = {
  OTEL_SDK_DISABLED: false,
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'cumulative',
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
  OTEL_EXPORTER_OTLP_TIMEOUT: 10_000,
  OTEL_METRIC_EXPORT_INTERVAL: 60_000,
  OTEL_PROPAGATORS: 'tracecontext',
  OTEL_TRACES_SAMPLER: 'parentbased_always_on',
  OTEL_TRACES_SAMPLER_ARG: 1,
};

describe('the configuration', () => {
  test('has defaults for an API', () => {
    expect(readConfiguration('api', {})).toEqual({
      REDIS_URL: 'redis://127.0.0.1:6379',
      QUEUE_PREFIX: 'scoreline',
      MODELS_DIR: 'models',
      MODELS_LOOK_MS: 1000,
      LOG_LEVEL: 'info',
      ...telemetry,
      ACCESS_LOG_RATIO: 0,
      HOST: '127.0.0.1',
      PORT: 8080,
      PLAYGROUND: true,
      OIDC_ALGORITHMS: ['RS256', 'ES256'],
      OIDC_CLIENT_SCOPES: ['openid'],
      OIDC_CLOCK_SKEW_MS: 30_000,
      OIDC_SCORE_ROLES: ['score'],
      OIDC_JOBS_ROLES: ['jobs'],
      OIDC_ADMIN_ROLES: ['admin'],
      CALLER_RESULTS_PERCENT: 50,
      CALLER_PERMITS_PERCENT: 50,
      CALLER_JOBS_MAX: 250_000,
      CALLER_EVENT_STREAMS_MAX: 100,
      BODY_BYTES_MAX: 16_777_216,
      IMAGE_PIXELS_MAX: 50_000_000,
      IMAGES_PER_REQUEST_MAX: 16,
      INPUTS_IN_FLIGHT_MAX: 64,
      INPUTS_PER_REQUEST_MAX: 256,
      UV_THREADPOOL_SIZE: 4,
      PERMITS_MAX: 1024,
      ROWS_PER_REQUEST_MAX: 256,
      TENSOR_JSON_BYTES_MAX: 4_194_304,
      BODIES_BYTES_MAX: 268_435_456,
      ANSWERS_BYTES_MAX: 268_435_456,
      QUEUE_ITEMS_MAX: 10_000,
      RESULT_MS: 600_000,
      RESULTS_MAX: 100_000,
      RESULTS_BYTES_MAX: 1_073_741_824,
      JOB_RESULT_BYTES_MAX: 1_048_576,
      EVENT_STREAMS_MAX: 1000,
      CORS_ORIGINS: [],
      HTTPS_ONLY: false,
      TRUST_PROXY: [],
      WEBHOOK_HOSTS: [],
      WEBHOOK_SECRETS: [],
      WEBHOOK_ATTEMPTS_MAX: 10,
      WEBHOOK_ATTEMPT_MS: 10_000,
      WEBHOOK_CONCURRENT_MAX: 8,
      WEBHOOK_PAYLOAD_BYTES_MAX: 65_536,
      WEBHOOK_PENDING_MAX: 10_000,
      WEBHOOK_DEAD_MAX: 1000,
      CONNECTIONS_MAX: 10_000,
      HEADERS_MS_MAX: 10_000,
      REQUEST_MS_MAX: 60_000,
      LEAVE_MS: 0,
      SHUTDOWN_MS: 35_000,
    });
  });

  test.each([{ PORT: '9000' }, { GRPC_PORT: '9000' }])(
    'keeps the metrics away from the port of clients, %o',
    (others) => {
      const error = errorOf(() => readConfiguration('api', { ...others, METRICS_PORT: '9000' }));
      expect(error.message).toMatch(/^METRICS_PORT: expected another port than PORT and GRPC_PORT/);
    },
  );

  test('leaves room for the results of the largest request', () => {
    const bounds = { RESULTS_MAX: '15', IMAGES_PER_REQUEST_MAX: '16' };
    const error = errorOf(() => readConfiguration('api', bounds));
    expect(error.message).toMatch(/^RESULTS_MAX: expected at least IMAGES_PER_REQUEST_MAX.*"15"$/);
    const enough = { ...bounds, RESULTS_MAX: '16' };
    expect(readConfiguration('api', enough).RESULTS_MAX).toBe(16);
    const shared = errorOf(() => readConfiguration('api', { ...enough, AUTH: 'keys' }));
    expect(shared.message).toMatch(/^CALLER_RESULTS_PERCENT: expected a share of RESULTS_MAX/);
    const whole = { ...enough, AUTH: 'keys', CALLER_RESULTS_PERCENT: '100' };
    expect(readConfiguration('api', whole).CALLER_RESULTS_PERCENT).toBe(100);
  });

  test('leaves room for the largest body', () => {
    const bounds = { BODY_BYTES_MAX: '5000', BODIES_BYTES_MAX: '4999' };
    const error = errorOf(() => readConfiguration('api', bounds));
    expect(error.message).toMatch(/^BODY_BYTES_MAX: expected at most BODIES_BYTES_MAX.*"5000"$/);
    expect(readConfiguration('api', { ...bounds, BODIES_BYTES_MAX: '5000' })).toBeDefined();
    for (const wrong of [{ BODY_BYTES_MAX: '16MB' }, { SHUTDOWN_MS: '-1' }]) {
      const { message } = errorOf(() => readConfiguration('api', wrong));
      expect(message.split('\n')).toEqual([expect.stringContaining(Object.keys(wrong)[0] ?? '')]);
    }
  });

  test('has defaults for a worker, which leaves before the platform kills it', () => {
    expect(readConfiguration('worker', {})).toEqual({
      REDIS_URL: 'redis://127.0.0.1:6379',
      QUEUE_PREFIX: 'scoreline',
      MODELS_DIR: 'models',
      MODELS_LOOK_MS: 1000,
      LOG_LEVEL: 'info',
      ...telemetry,
      SHUTDOWN_MS: 25_000,
    });
  });

  test('parses numbers and lists', () => {
    const configuration = readConfiguration('api', { PORT: '0', MODELS: 'a, b ,c' });
    expect(configuration.PORT).toBe(0);
    expect(configuration.MODELS).toEqual(['a', 'b', 'c']);
  });

  test.each([
    [undefined, undefined],
    ['', []],
    [' , ', []],
    ['a, b,', ['a', 'b']],
  ])('knows which models scale from zero: %j', (SCALE_FROM_ZERO, expected) => {
    const { SCALE_FROM_ZERO: read } = readConfiguration('api', { SCALE_FROM_ZERO });
    expect(read).toEqual(expected);
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

describe('a name that is almost that of a setting', () => {
  test.each([
    ['PERMIT_MAX', 'PERMITS_MAX'],
    ['CALLER_CONCURENT_MAX', 'CALLER_CONCURRENT_MAX'],
    ['REDIS_URI', 'REDIS_URL'],
    ['MODEL', 'MODELS'],
    ['probe_port', 'PROBE_PORT'],
  ])('is found: %s', (given, meant) => {
    expect(findMisspeltSettings({ [given]: 'x' })).toEqual([{ given, meant }]);
  });

  test('is none of another role, of other programs, or an empty one', () => {
    const names = ['PROBE_PORT', 'PERMITS_MAX', 'PATH', 'HOME', 'HOSTNAME', 'PORTS', 'WORKERS'];
    const ofOthers = ['DATA_DIR', 'NODE_OPTIONS', 'REDIS_HOST', 'OTEL_BSP_MAX_QUEUE_SIZE'];
    const given = Object.fromEntries([...names, ...ofOthers].map((name) => [name, 'x']));
    expect(findMisspeltSettings({ ...given, PERMIT_MAX: '' })).toEqual([]);
  });
});

describe('a wrong configuration', () => {
  test('says of what is not set that nothing came, or what the default is', () => {
    const faultOf = (environment: NodeJS.ProcessEnv) =>
      errorOf(() => readConfiguration('api', environment)).message;
    expect(faultOf({ AUTH: 'oidc' })).toMatch(/^OIDC_ISSUER: expected .*; got nothing$/m);
    const webhooks = faultOf({ WEBHOOK_HOSTS: 'hooks.example.com' });
    expect(webhooks).toMatch(/^WEBHOOK_SECRETS: expected .*; got nothing$/);
    const permits = faultOf({ PERMITS_MAX: '5' });
    expect(permits).toMatch(/^IMAGES_PER_REQUEST_MAX: expected .*; got the default, 16$/);
  });

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
    expect(error.message).toContain('PORT: expected a whole number from 0 to 65535');
    expect(error.message).toContain('QUEUE_PREFIX: expected a text without blanks');
  });

  test.each([
    ['localhost:6379', 'it does not begin with redis://, redis+sentinel://, redis+cluster://'],
    ['redis+socket://localhost', 'it does not begin with redis://'],
    ['redis://', 'it has no host'],
    ['redis://:6379', 'it cannot be read'],
    ['redis:///tmp/redis.sock', 'it has no host. For a socket, write unix:///tmp/redis.sock'],
    ['unix://tmp/redis.sock', 'Write three slashes in front of it'],
    ['unix://', 'it has no absolute path'],
    ['unix:///tmp/100%.sock', 'In a path, write %25'],
    ['unix:///tmp/redis.sock?db=one', 'its database is not a number'],
    ['unix://:100%@/tmp/redis.sock', 'it has a % that stands for nothing. In a password'],
    ['redis://localhost:port', 'it cannot be read'],
    ['redis://localhost/queue', 'its database is not a number'],
    ['redis://localhost/1/2', 'its database is not a number'],
    ['redis://:pass#word@localhost', 'write %23 for #'],
    ['redis://:pass/word@localhost', '%2F for /'],
    ['redis://:100%@localhost', 'it has a % that stands for nothing'],
    ['redis://localhost#1', 'it has a #'],
    [
      'redis://one:6379,two:6379',
      'it has several hosts. Write redis+sentinel:// or redis+cluster:',
    ],
    ['redis+sentinel://one,two', 'it has no name of a primary. Write it behind the hosts'],
    ['redis+sentinel://one,two/', 'it has no name of a primary'],
    ['redis+sentinel://one,,two/main', 'it has no host'],
    ['redis+sentinel:///main', 'it has no host'],
    ['redis+sentinel://one:port,two/main', 'it cannot be read'],
    ['redis+sentinel://one,two:port/main', 'it cannot be read'],
    ['redis+sentinel://one/main/x', 'its database is not a number'],
    ['redis+sentinel://one/main/1/2', 'its database is not a number'],
    ['redis+sentinel://user:12/secret@one/main', '%2F for /'],
    ['rediss+sentinel://:pass#word@one/main', '%23 for #'],
    ['redis+sentinel://:pass%word@one/main', 'it has a % that stands for nothing'],
    ['redis+cluster://one,two/0', 'a cluster has no databases. Remove what follows the hosts'],
    ['redis+cluster://:pass/word@one', '%2F for /'],
    ['redis+cluster://', 'it has no host'],
    ['rediss+cluster://one:6379,two:70000', 'it cannot be read'],
  ])('may not have %s as REDIS_URL, and says what form it has', (REDIS_URL, fault) => {
    const { message } = errorOf(() => readConfiguration('worker', { REDIS_URL }));
    const login = '[user:password@]host[:port]';
    const form = REDIS_URL.includes('+sentinel')
      ? `redis+sentinel://${login}[,host[:port]…]/name-of-the-primary[/database]`
      : REDIS_URL.includes('+cluster')
        ? `redis+cluster://${login}[,host[:port]…]`
        : `redis://${login}[/database]`;
    const expected = REDIS_URL.startsWith('unix:')
      ? 'unix://[user:password@]/path/of/the/socket[?db=database]'
      : `${form}, or rediss instead of redis for TLS`;
    expect(message).toContain(`expected ${expected}; `);
    expect(message).toContain(fault);
    if (/[@?]/.test(REDIS_URL)) expect(message).toContain('not shown');
    else expect(message).toContain(`got "${REDIS_URL}"`);
  });

  test.each([
    'redis://localhost',
    'redis://localhost/',
    'rediss://user:pass%23word@redis.example.org:6380/15',
    'redis://[::1]:6379?family=6',
    'redis+sentinel://one/main',
    'REDISS+Sentinel://:pass%2Fword@one:26379,[::1],two:26380/main/3?family=4',
    'redis+cluster://one',
    'rediss+cluster://user:pass@one:7000,10.0.0.2:7001/',
    'unix:///run/redis/redis.sock',
    'unix://user:pass%23word@/run/redis%20server/redis.sock?db=2',
  ])('may have %s as REDIS_URL', (REDIS_URL) => {
    expect(readConfiguration('worker', { REDIS_URL }).REDIS_URL).toBe(REDIS_URL);
  });

  test.each(['-1', '65536', '80.5', 'http'])('may not have %s as a port', (PORT) => {
    const error = errorOf(() => readConfiguration('api', { PORT }));
    expect(error.message).toMatch(new RegExp(`^PORT: .*; got "${PORT}"$`));
  });
});

describe('the prefix of keys', () => {
  const cluster = 'redis+cluster://localhost';
  const read = (environment: NodeJS.ProcessEnv) => readConfiguration('worker', environment);

  test('is a hash tag on a cluster, unless told otherwise', () => {
    expect(read({ REDIS_URL: 'redis://localhost' }).QUEUE_PREFIX).toBe('scoreline');
    expect(read({ REDIS_URL: 'redis+sentinel://one/main' }).QUEUE_PREFIX).toBe('scoreline');
    for (const REDIS_URL of [cluster, 'rediss+cluster://localhost']) {
      expect(read({ REDIS_URL }).QUEUE_PREFIX).toBe('{scoreline}');
      expect(read({ REDIS_URL, QUEUE_PREFIX: '' }).QUEUE_PREFIX).toBe('{scoreline}');
    }
  });

  test.each(['{team}', '{team}:scoreline', 'scoreline:{team}'])('may be %s there', (prefix) => {
    expect(read({ REDIS_URL: cluster, QUEUE_PREFIX: prefix }).QUEUE_PREFIX).toBe(prefix);
  });

  test.each(['scoreline', '{}', '{}{team}', '{team', 'team}'])('may not be %s there', (prefix) => {
    for (const role of ['api', 'worker'] as const) {
      const environment = { REDIS_URL: cluster, QUEUE_PREFIX: prefix };
      const { message } = errorOf(() => readConfiguration(role, environment));
      expect(message).toBe(
        `QUEUE_PREFIX: expected a hash tag in it, such as {scoreline}, because REDIS_URL names a cluster; got "${prefix}"`,
      );
    }
  });
});

describe('the certificate for Redis', () => {
  const REDIS_URL = 'rediss+sentinel://one/main';
  const REDIS_CERT_FILE = 'tls.crt';
  const REDIS_KEY_FILE = 'tls.key';
  const noKey = 'REDIS_KEY_FILE: expected the file of the private key, because of REDIS_CERT_FILE';
  const noCertificate =
    'REDIS_CERT_FILE: expected the file of the certificate, because of REDIS_KEY_FILE';
  const noTls = 'REDIS_CERT_FILE: expected rediss instead of redis in REDIS_URL with it';

  test.each([
    [{ REDIS_URL, REDIS_CERT_FILE }, `${noKey}; got nothing`],
    [{ REDIS_URL, REDIS_KEY_FILE }, `${noCertificate}; got nothing`],
    [{ REDIS_CERT_FILE, REDIS_KEY_FILE }, `${noTls}; got "tls.crt"`],
  ])('has a key and goes with TLS: %o', (environment, message) => {
    for (const role of ['api', 'worker'] as const) {
      expect(errorOf(() => readConfiguration(role, environment)).message).toBe(message);
    }
  });

  test('has to be there', () => {
    const read = { REDIS_URL, REDIS_CERT_FILE, REDIS_KEY_FILE };
    const configuration = readConfiguration('worker', read);
    expect(errorOf(() => redisSettings(configuration))).toMatchObject({
      code: 'configuration_invalid',
      message: expect.stringMatching(/got tls.crt and tls.key, which cannot be used \(ENOENT/),
    });
  });
});

describe('the password in REDIS_URL', () => {
  const secret = 'hunter2';

  test.each([
    `redis://:${secret}@localhost:6379/1`,
    `rediss://user:${secret}@redis.example.org`,
    `redis+sentinel://:${secret}@one:26379,two/main/1`,
    `rediss+cluster://user:${secret}@one:7000,two:7001`,
  ])('is used but not logged, for %s', (url) => {
    const configuration = readConfiguration('api', { REDIS_URL: url });
    expect(configuration.REDIS_URL).toBe(url);
    const logged = redact(configuration);
    expect(logged.REDIS_URL).toBe(url.replace(/\/\/.*@/, '//'));
    expect(logged.PORT).toBe(8080);
  });

  test.each(['REDIS_PASSWORD', 'REDIS_SENTINEL_PASSWORD'] as const)(
    'is not logged either if it stands in %s',
    (key) => {
      const configuration = readConfiguration('worker', { [key]: secret });
      expect(configuration[key]).toBe(secret);
      expect(JSON.stringify(redact(configuration))).not.toContain(secret);
    },
  );

  test.each([
    `http://user:${secret}@localhost:6379`,
    `redis://user:${secret}@local host:6379`,
    `redis://user:${secret}@localhost:port`,
    `redis+sentinel://user:${secret}@localhost`,
    `redis+sentinel://user:12/${secret}@localhost/main`,
    `redis+cluster://user:12/${secret}@localhost`,
    `${secret}@localhost`,
  ])('is not in the error for %s', (url) => {
    const error = errorOf(() => readConfiguration('api', { REDIS_URL: url }));
    expect(error.message).toMatch(/^REDIS_URL: .*; got /);
    expect(error.message).not.toContain(secret);
  });
});
