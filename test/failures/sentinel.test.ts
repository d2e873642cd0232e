import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitUntil } from '../harness.js';
import { openSentinels, type SentinelGroup, untilPrimary } from '../redis-groups.js';
import {
  changeUnderLoad,
  expectBothScenarios,
  type GroupService,
  startGroupService,
} from './groups.js';

let group: SentinelGroup;
let service: GroupService;
beforeAll(async () => {
  group = await openSentinels();
  service = await startGroupService(group.url);
});
afterAll(() => {
  service?.kill();
  group?.close();
});

test('a service behind Sentinels answers both scenarios', () => expectBothScenarios(service));

test('a primary that dies under load is replaced, and no accepted request is lost', async () => {
  const { primary, replica } = group;
  await changeUnderLoad(service, { server: primary, prefix: 'scoreline' }, async (untilRefused) => {
    primary.kill('SIGKILL');
    await untilRefused();
    await untilPrimary(replica);
  });
  const processes = (message: string) =>
    new Set(service.log.filter(({ msg }) => msg.startsWith(message)).map(({ pid }) => pid)).size;
  // A slow process may connect to the new primary at once, and then has nothing to say.
  const away = processes('Redis cannot be used; trying again');
  expect(away).toBeGreaterThan(0);
  await waitUntil('they say that Redis is back', () => processes('Redis is back') === away);
});
