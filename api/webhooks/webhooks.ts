// Assembles the webhooks of an API instance.

import { nowMs } from '../../shared/clock.js';
import type { Configurations } from '../../shared/configuration/configuration.js';
import type { Instruments } from '../../shared/metrics/instruments.js';
import type { Logger } from '../../shared/process/log.js';
import type { Registry } from '../../shared/registry/registry.js';
import type { JobEnds } from '../jobs/job-ends.js';
import type { JobStates } from '../jobs/job-states.js';
import type { JobStore } from '../jobs/job-store.js';
import type { InputKinds } from '../kinds/kinds.js';
import { makeResolve } from './checked-lookup.js';
import { Courier } from './courier.js';
import { writeEvent } from './event.js';
import type { PendingWebhooks } from './pending-webhooks.js';
import { attemptOutcomes } from './post.js';

/** Starts to deliver webhooks. Returns undefined if no host is allowed. */
export function openCourier(options: {
  configuration: Configurations['api'];
  registry: Registry;
  kinds: InputKinds;
  pending: PendingWebhooks;
  store: JobStore;
  states: JobStates;
  ends: JobEnds;
  instruments: Instruments | undefined;
  log: Logger;
}): Courier | undefined {
  const { configuration, registry, kinds, instruments, pending } = options;
  const { WEBHOOK_HOSTS: hosts, WEBHOOK_PAYLOAD_BYTES_MAX: bytesMax } = configuration;
  const origins = hosts.map(({ origin }) => origin);
  void warnOfStranded(pending, origins, options.log).catch(() => {});
  if (hosts.length === 0) return undefined;
  if (instruments) observe(instruments, pending, origins);
  return new Courier({
    ...options,
    hosts,
    secrets: configuration.WEBHOOK_SECRETS,
    attemptsMax: configuration.WEBHOOK_ATTEMPTS_MAX,
    attemptMs: configuration.WEBHOOK_ATTEMPT_MS,
    concurrentMax: configuration.WEBHOOK_CONCURRENT_MAX,
    write: (job, kept) => {
      const model = registry.ofQueue(job.record.queue);
      return writeEvent(job, kept, { kinds, model, bytesMax, now: new Date(nowMs()) });
    },
    mustWaitForModel: ({ record: { model, queue }, state }) =>
      'replies' in state &&
      registry.ofQueue(queue) === undefined &&
      registry.awaitQueue({ name: model, queue }),
    resolve: makeResolve(),
    onAttempt: (host, outcome) => instruments?.add('webhookAttempts', { host, outcome }),
  });
}

/** Rejects with an error of Redis. */
async function warnOfStranded(
  pending: PendingWebhooks,
  origins: readonly string[],
  log: Logger,
): Promise<void> {
  await pending.noteHosts(origins);
  const advice = 'Add it again, and they are sent, or leave them: they are forgotten in time.';
  for (const stranded of await pending.countStranded(origins)) {
    log.warn({ ...stranded, advice }, 'webhooks wait for a host that WEBHOOK_HOSTS has no more');
  }
}

function observe(
  instruments: Instruments,
  pending: PendingWebhooks,
  hosts: readonly string[],
): void {
  for (const host of hosts) {
    for (const outcome of attemptOutcomes) instruments.add('webhookAttempts', { host, outcome }, 0);
  }
  const count = () => pending.count(hosts).catch(() => undefined);
  instruments.read('webhooksPending', async () => {
    const counts = await count();
    return counts ? hosts.map((host, at) => [{ host }, counts.pending[at] ?? 0] as const) : [];
  });
  instruments.read('webhooksDead', async () => {
    const counts = await count();
    return counts ? [[{}, counts.dead] as const] : [];
  });
}
