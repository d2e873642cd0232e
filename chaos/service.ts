// What a run looks at from outside to tell whether Scoreline is well, wherever it runs.

import { jobQueueOf, priorities } from '../shared/wire/priority.js';
import type { Address } from './client.js';
import { waitUntil } from './wait.js';

const emptyWithinMs = 10_000;
const emptyEveryMs = 200;

/** Whether the API says that it is ready. */
export function isHealthy(address: Address): Promise<boolean> {
  return isAnswering(address, '/v2/health/ready');
}

/** Whether a GET gets 200 within two seconds. */
export async function isAnswering({ host, port }: Address, path: string): Promise<boolean> {
  const answer = await fetch(`http://${host}:${port}${path}`, {
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(2000),
  }).catch(() => undefined);
  await answer?.arrayBuffer();
  return answer?.status === 200;
}

/**
 * Waits up to 10 s for the queues to empty, and returns what is left. Jobs that stay in the queue
 * after the load would keep workers alive for ever. `count` gives a command to Redis, and resolves
 * to its answer.
 */
export async function findLeftBehind(
  queues: readonly string[],
  count: (command: string, key: string) => Promise<number>,
): Promise<string[]> {
  const names = queues.flatMap((queue) => priorities.map((each) => jobQueueOf(queue, each)));
  const lists = names.flatMap((queue) =>
    [
      ['wait', 'llen'],
      ['active', 'llen'],
      ['prioritized', 'zcard'],
      ['delayed', 'zcard'],
    ].map(([list, command]) => ({ key: `scoreline:${queue}:${list}`, command: command as string })),
  );
  const find = async () => {
    const counts = await Promise.all(lists.map(({ command, key }) => count(command, key)));
    return lists
      .map(({ key }, index) => `${counts[index]} jobs are left in ${key}`)
      .filter((_, index) => counts[index] !== 0);
  };
  await waitUntil(async () => (await find()).length === 0, emptyWithinMs, emptyEveryMs);
  return find();
}
