import { pino } from 'pino';
import { expect, test } from 'vitest';
import { explain, explainOrShow, Outage } from '../../shared/redis/redis.js';

test.each([
  ["OOM command not allowed when used memory > 'maxmemory'.", /memory of Redis is full/],
  ["READONLY You can't write against a read only replica.", /read-only replica/],
  ['NOREPLICAS Not enough good replicas to write.', /Too few replicas/],
  ['EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas', /Too few/],
  ['MOVED 2506 10.0.0.2:6379', /Another node of the cluster has our keys/],
  ['ASK 2506 10.0.0.2:6379', /moves our keys to another node/],
  ['TRYAGAIN Multiple keys request during rehashing of slot', /moves our keys to another node/],
  ['CLUSTERDOWN Hash slot not served', /CLUSTER INFO/],
  ['MISCONF Errors writing to the AOF file', /disk/],
  ['connect ECONNREFUSED 127.0.0.1:6379', /Check REDIS_URL, the network/],
])('%s is explained', (message, advice) => {
  expect(explain(new Error(message))).toEqual({
    reason: message,
    advice: expect.stringMatching(advice),
  });
});

test.each([
  ['CERT_HAS_EXPIRED', /Renew it/],
  ['CERT_NOT_YET_VALID', /Renew it, or correct the clock/],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', /NODE_EXTRA_CA_CERTS/],
  ['SELF_SIGNED_CERT_IN_CHAIN', /NODE_EXTRA_CA_CERTS/],
  ['ERR_TLS_CERT_ALTNAME_INVALID', /NODE_EXTRA_CA_CERTS/],
  ['INVALID_CA', /NODE_EXTRA_CA_CERTS/],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', /REDIS_CERT_FILE/],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', /REDIS_CERT_FILE/],
  ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', /REDIS_CERT_FILE/],
  ['ERR_SSL_NO_CIPHER_MATCH', /Check REDIS_URL, the network/],
  ['ECONNRESET', /Check REDIS_URL, the network/],
])('%s is explained, also when it comes long after the start', (code, advice) => {
  const error = Object.assign(new Error('it failed'), { code });
  expect(explain(error)).toEqual({
    reason: 'it failed',
    advice: expect.stringMatching(advice),
  });
});

test('the log has the stack of an error that is not of Redis', () => {
  const refused = Object.assign(new Error('MISCONF Errors writing to the AOF file'), {
    name: 'ReplyError',
  });
  const transaction = Object.assign(new Error('EXECABORT Transaction discarded.'), {
    name: 'ReplyError',
    previousErrors: [refused],
  });
  for (const thrown of [refused, transaction]) {
    expect(explainOrShow(thrown)).toEqual(explain(refused));
  }
  expect(explainOrShow(new Error('Command timed out'))).not.toHaveProperty('err');
  const other = new TypeError('x is undefined');
  expect(explainOrShow(other)).toEqual({ err: other });
});

test('an outage is logged once for each thing that the operator can do', () => {
  const logged: string[] = [];
  const write = (line: string) => {
    const { msg, reason, advice } = JSON.parse(line);
    logged.push(reason ? `${reason}: ${advice}` : msg);
  };
  const outage = new Outage(pino({}, { write }));
  const refused = new Error('connect ECONNREFUSED 127.0.0.1:6379');
  const password = new Error('WRONGPASS invalid username-password pair or user is disabled.');
  for (const error of [refused, new Error('read ECONNRESET'), password, refused, password]) {
    outage.begin('queue', error);
  }
  outage.end('queue');
  outage.begin('queue', refused);
  expect(logged).toEqual([
    expect.stringMatching(/^connect ECONNREFUSED.*: Check REDIS_URL/),
    expect.stringMatching(/^WRONGPASS.*: Redis has another password/),
    'Redis is back',
    expect.stringMatching(/^connect ECONNREFUSED/),
  ]);
});
