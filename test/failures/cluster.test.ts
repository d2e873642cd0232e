import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type ClusterGroup,
  moveSlot,
  openCluster,
  untilFollowing,
  untilPrimary,
} from '../redis-groups.js';
import {
  changeUnderLoad,
  expectBothScenarios,
  type GroupService,
  startGroupService,
} from './groups.js';

const prefix = '{scoreline}';
let group: ClusterGroup;
let service: GroupService;
beforeAll(async () => {
  group = await openCluster();
  service = await startGroupService(group.url);
});
afterAll(() => {
  service?.kill();
  group?.close();
});

test('a service on a cluster answers both scenarios, with all its keys on one node', async () => {
  await expectBothScenarios(service);
  const keys = await Promise.all(group.nodes.map(({ client }) => client.keys('*')));
  expect(keys.map((each) => each.length > 0)).toEqual([true, false, false]);
  expect(keys.flat().every((key) => key.startsWith(`${prefix}:`))).toBe(true);
});

test('a slot that moves to another node and back under load takes its requests along', async () => {
  const [from, to] = group.nodes;
  await changeUnderLoad(service, { server: from, prefix }, async (untilRefused) => {
    await moveSlot(group, { from, to, between: untilRefused });
    await moveSlot(group, { from: to, to: from });
  });
});

test('a node that hands over to its replica under load loses no request', async () => {
  const [node] = group.nodes;
  await changeUnderLoad(service, { server: node, prefix }, async () => {
    await group.replica.client.cluster('FAILOVER');
    await untilPrimary(group.replica);
    await untilFollowing(node);
  });
});

test('a node that dies under load is replaced, and no accepted request is lost', async () => {
  const [next] = group.nodes;
  // The test before has made it the primary.
  const node = group.replica;
  await changeUnderLoad(service, { server: node, prefix }, async (untilRefused) => {
    node.kill('SIGKILL');
    await untilRefused();
    await untilPrimary(next);
  });
});
