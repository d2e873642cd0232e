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
