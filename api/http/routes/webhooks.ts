// The routes of webhooks, for operators: the dead letters, which can be sent again.

import type { Express } from 'express';
import type { Configurations } from '../../../shared/configuration/configuration.js';
import type { DeadLetter, PendingWebhooks } from '../../webhooks/pending-webhooks.js';
import { describeWebhook } from '../../webhooks/webhook.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { forOperators } from '../gate/operators.js';

const list = '/v1/webhooks';
const again = '/v1/webhooks/:job/redeliver';

export function addWebhookRoutes(
  app: Express,
  parts: {
    configuration: Pick<Configurations['api'], 'AUTH' | 'WEBHOOK_HOSTS'>;
    webhooks: Pick<PendingWebhooks, 'listDead' | 'count' | 'countStranded' | 'revive'>;
  },
): void {
  const { webhooks, configuration } = parts;
  const hosts = configuration.WEBHOOK_HOSTS.map(({ origin }) => origin);

  const guards = [forOperators(configuration, 'of webhooks'), needs('admin')];
  app.get(list, ...guards, async (_request, response) => {
    const [{ pending }, stranded, dead] = await Promise.all([
      webhooks.count(hosts),
      webhooks.countStranded(hosts),
      webhooks.listDead(),
    ]);
    response.json({
      hosts: [
        ...hosts.map((host, at) => ({ host, pending: pending[at] })),
        ...stranded.map((host) => ({ ...host, allowed: false })),
      ],
      dead: dead.map(writeDeadLetter),
    });
  });

  app.post(again, ...guards, async (request, response) => {
    const job = String(request.params.job);
    await webhooks.revive(job, hosts);
    response.status(202).json({ job, state: 'waiting' });
  });

  app.all(list, allow('GET', 'HEAD'));
  app.all(again, allow('POST'));
}

function writeDeadLetter({ job, diedAt, webhook }: DeadLetter): object {
  const { caller } = webhook;
  return { job, caller, diedAt: new Date(diedAt).toISOString(), ...describeWebhook(webhook) };
}
