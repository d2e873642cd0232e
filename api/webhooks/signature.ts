// Signs webhooks as Standard Webhooks says (standardwebhooks.com): HMAC-SHA-256 over id, time and body.
//
// Node's own crypto makes the signatures. The library `standardwebhooks`, whose SHA-256 is written in JavaScript,
// verifies them in the tests.

import { createHmac } from 'node:crypto';
import type { WebhookSecret } from '../../shared/configuration/webhooks.js';

/** Returns the header fields of one attempt. Several secrets make several signatures. */
export function sign(
  message: { readonly id: string; readonly body: string },
  secrets: readonly WebhookSecret[],
  now: Date,
): Record<string, string> {
  const seconds = String(Math.floor(now.getTime() / 1000));
  const signatures = secrets.map(({ key }) => {
    const hmac = createHmac('sha256', key).update(`${message.id}.${seconds}.${message.body}`);
    return `v1,${hmac.digest('base64')}`;
  });
  return {
    'webhook-id': message.id,
    'webhook-timestamp': seconds,
    'webhook-signature': signatures.join(' '),
  };
}
