// The header `Webhook-Url`: the address that is told when the job of a request has ended.

import type { IncomingMessage } from 'node:http';
import { ScorelineError } from '../../../shared/errors.js';
import type { CheckWebhookUrl } from '../../webhooks/allow-list.js';
import type { Preferences } from './preferences.js';

/**
 * Returns the address, or undefined without one.
 * @param preferences undefined if the request becomes no job
 * @throws ScorelineError `webhook_invalid`, `webhook_not_allowed`
 */
export function readWebhookUrl(
  { headers }: Pick<IncomingMessage, 'headers'>,
  preferences: Preferences | undefined,
  checkWebhookUrl: CheckWebhookUrl,
): string | undefined {
  const given = headers['webhook-url'];
  if (given === undefined) return undefined;
  if (!preferences) {
    throw new ScorelineError(
      'webhook_invalid',
      'Expected Prefer: respond-async, Prefer: wait=N or ?async with the header Webhook-Url, which tells of a job; got none of them, so this request becomes no job. Add one, or leave Webhook-Url out.',
    );
  }
  return checkWebhookUrl(String(given));
}
