import { expect, test } from 'vitest';
import { explain } from '../../shared/redis.js';

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
