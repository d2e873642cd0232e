// The part of the API's configuration about webhooks: whom the service tells that a job has ended.

import { isIP } from 'node:net';
import { z } from 'zod';
import { findNetworkFault, isReachable } from '../addresses.js';
import { shown } from '../shown.js';
import { integer, list } from './values.js';

/** A host that webhooks may go to. */
export interface WebhookHost {
  /** Scheme, name and port, as `URL` writes them: `https://hooks.example.com`. */
  readonly origin: string;
  /** The networks in which it may be, besides public addresses. */
  readonly networks: readonly string[];
}

/** A key that signs webhooks. */
export interface WebhookSecret {
  /** The only host whose webhooks it signs, such as `hooks.example.com:8443`; undefined for all hosts. */
  readonly host: string | undefined;
  readonly key: Buffer;
}

export const webhookShape = {
  WEBHOOK_HOSTS: list
    .pipe(z.array(z.string().transform(readHost)))
    .transform((hosts) => Object.freeze(hosts))
    .default(Object.freeze([]))
    .describe(
      'The hosts to which callers may have webhooks sent, separated by commas: `hooks.example.com`, `hooks.example.com:8443`. A host is asked by HTTPS unless it is written with `http://`. One inside a private network needs the name of that network: `http://receiver.shop.svc.cluster.local:8080=10.0.0.0/8`. If unset, there are no webhooks. See [webhooks.md](webhooks.md).',
    ),
  WEBHOOK_SECRETS: list
    .pipe(z.array(z.string().transform(readSecret)))
    .transform((secrets) => Object.freeze(secrets))
    .default(Object.freeze([]))
    .describe(
      'The secrets that sign webhooks, separated by commas: `whsec_` and 24 to 64 bytes in base64. Each webhook has a signature by each of them. A secret behind the name of a host, `hooks.example.com=whsec_…`, signs only the webhooks of that host.',
    ),
  WEBHOOK_ATTEMPTS_MAX: integer(1, 30)
    .default(10)
    .describe(
      'How often the delivery of a webhook is tried, with growing pauses of up to an hour. 10 attempts take about three and a half hours. After that it is a dead letter.',
    ),
  WEBHOOK_ATTEMPT_MS: integer(100, 60_000)
    .default(10_000)
    .describe(
      'How long one attempt to deliver a webhook may take. Lowering it frees the place of a receiver that hangs earlier.',
    ),
  WEBHOOK_CONCURRENT_MAX: integer(1, 256)
    .default(8)
    .describe(
      'The most webhooks on their way to one host at a time, from one API process. A receiver that hangs takes only the places of its host. Where callers say who they are, each takes only as many as it leaves free, so one takes at most half. Raising it lets a slow receiver take more webhooks a second.',
    ),
  WEBHOOK_PAYLOAD_BYTES_MAX: integer(4096, 16_777_216)
    .default(65_536)
    .describe(
      'The most bytes of a webhook. One with a larger result is sent without it, with the address of the job.',
    ),
  WEBHOOK_PENDING_MAX: integer(1, 10_000_000)
    .default(10_000)
    .describe(
      'The most webhooks of one host that are not delivered yet, those of unfinished jobs included. Beyond it, requests with that host in `Webhook-Url` get 429; of those that come at the same time, a few more may be let in. Where callers say who they are, each takes only as much as it leaves free, so one takes at most half. Each takes 1 kB in Redis.',
    ),
  WEBHOOK_DEAD_MAX: integer(1, 10_000)
    .default(1000)
    .describe(
      'The most dead letters that are kept, the last ones, for up to a week. `GET /v1/webhooks` lists them.',
    ),
};

type WebhookConfiguration = z.output<z.ZodObject<typeof webhookShape>>;

/** Checks the keys that depend on each other. */
export function checkWebhooks(
  { WEBHOOK_HOSTS: hosts, WEBHOOK_SECRETS: secrets }: WebhookConfiguration,
  context: z.core.$RefinementCtx,
): void {
  const fault = (message: string) =>
    context.addIssue({ code: 'custom', path: ['WEBHOOK_SECRETS'], message });
  const names = hosts.map(({ origin }) => new URL(origin).host);
  for (const name of names) {
    if (secretsOf(name, secrets).length > 0) continue;
    fault(
      `expected a secret for ${name}, which WEBHOOK_HOSTS names, because each webhook is signed. Make one with: echo "whsec_$(openssl rand -base64 32)"`,
    );
  }
  for (const { host } of secrets) {
    if (host === undefined || names.includes(host)) continue;
    fault(`expected only hosts of WEBHOOK_HOSTS before "="; ${host} is not among them`);
  }
  if (hosts.length === 0 && secrets.length > 0) fault('expected WEBHOOK_HOSTS with it');
}

/** Returns the secrets that sign the webhooks of a host. */
export function secretsOf(
  host: string,
  secrets: readonly WebhookSecret[],
): readonly WebhookSecret[] {
  return secrets.filter((secret) => secret.host === undefined || secret.host === host);
}

const hostForm =
  'expected hosts such as hooks.example.com, hooks.example.com:8443, or http://receiver.shop.svc.cluster.local:8080=10.0.0.0/8';

function readHost(text: string, context: z.core.$RefinementCtx): WebhookHost {
  const refuse = (message: string) => {
    context.addIssue(message);
    return z.NEVER;
  };
  const [name = '', ...networks] = text.split('=');
  const address = name.includes('://') ? name : `https://${name}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isWhole = url && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href;
  if (!isWhole || /[*\s]/.test(name)) return refuse(`${hostForm}; ${show(name)} is none`);
  for (const network of networks) {
    const found = findNetworkFault(network);
    if (found) return refuse(`${found} behind ${show(name)}; ${show(network)} is none`);
  }
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0 && !isReachable(literal, networks)) {
    const bits = isIP(literal) === 4 ? 32 : 128;
    return refuse(
      `expected a public address, or its network behind it, such as ${name}=${literal}/${bits}; ${show(text)} is none`,
    );
  }
  return { origin: url.origin, networks };
}

function readSecret(text: string, context: z.core.$RefinementCtx): WebhookSecret {
  const [, host, base64 = ''] = /^(?:([^=]+)=)?whsec_([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  const key = Buffer.from(base64, 'base64');
  if (key.length >= 24 && key.length <= 64) return { host, key };
  context.addIssue(
    'expected secrets of the form whsec_BASE64 or HOST=whsec_BASE64, of 24 to 64 bytes. Make one with: echo "whsec_$(openssl rand -base64 32)"',
  );
  return z.NEVER;
}

function show(text: string): string {
  return shown(text, 100);
}
