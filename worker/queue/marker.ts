// The marker is the key on which workers wait for jobs. BullMQ sets it whenever a job is taken, even if no other job
// waits. So another worker, or the same one, wakes up for nothing and looks in vain: once for each job.
//
// Here, the scripts that take jobs remove the marker at their end if no job waits. Redis wakes those who wait once a
// script is over, so nobody sees it.

import { createRequire } from 'node:module';
// biome-ignore lint/style/noRestrictedImports: this file belongs to the door to BullMQ (bullmq.ts).
import type { RedisQueueBackend } from 'bullmq';

interface BullScript {
  readonly content: string;
  /** How many keys it has. */
  readonly keys: number;
}

const bull = createRequire(import.meta.url)('bullmq/dist/cjs/scripts/index.js') as {
  readonly moveToActive: BullScript;
  readonly moveToFinished: BullScript;
};
const scripts = {
  moveToActive: withEnd(bull.moveToActive, { wait: 1, prioritized: 3, marker: 11 }),
  moveToFinished: withEnd(bull.moveToFinished, { wait: 1, prioritized: 3, marker: 14 }),
};

/** Has a backend leave no marker behind when it takes the last job that waits. */
export function leaveNoMarker(backend: RedisQueueBackend): void {
  const execute = backend.execCommand.bind(backend);
  backend.execCommand = (client, command, parameters) => {
    if (!isTaking(command) || !('defineCommand' in client)) {
      return execute(client, command, parameters);
    }
    const name = `${command}:noMarker`;
    if (!(name in client)) client.defineCommand(name, scripts[command]);
    return client.runCommand(name, parameters);
  };
}

function isTaking(command: string): command is keyof typeof scripts {
  return command in scripts;
}

/** @param at the positions of keys of the script */
function withEnd(
  { content, keys }: BullScript,
  at: { readonly wait: number; readonly prioritized: number; readonly marker: number },
): { numberOfKeys: number; lua: string } {
  const lua = `local function take()
${content}
end
local taken = take()
if redis.call('LLEN', KEYS[${at.wait}]) == 0 and redis.call('ZCARD', KEYS[${at.prioritized}]) == 0 then
  redis.call('ZREM', KEYS[${at.marker}], '0')
end
return taken`;
  return { numberOfKeys: keys, lua };
}
