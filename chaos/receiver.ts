// A receiver of webhooks, which checks each signature with the library of Standard Webhooks.

import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

/** A secret for receivers on this machine, and for nobody else. */
export const receiverSecret = `whsec_${Buffer.alloc(32, 'scoreline').toString('base64')}`;

/** A webhook as it came. */
export interface Received {
  readonly id: string;
  readonly path: string;
  readonly isSigned: boolean;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  // biome-ignore lint/suspicious/noExplicitAny: whoever looks into it knows its form.
  readonly event: any;
}

/** How a webhook is answered; `hang` for never. */
export type ReceiverAnswer =
  | { readonly status: number; readonly headers?: http.OutgoingHttpHeaders }
  | 'hang';

export interface Receiver {
  /** Scheme, address and port. */
  readonly origin: string;
  /** All webhooks, in the order of their arrival. */
  readonly received: readonly Received[];
  /** The webhooks about a job. */
  of(job: string): readonly Received[];
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function openReceiver(
  answer: (received: Received) => ReceiverAnswer = () => ({ status: 204 }),
): Promise<Receiver> {
  const verifier = new Webhook(receiverSecret);
  const received: Received[] = [];
  const byJob = new Map<string, Received[]>();

  const server = http.createServer(async (request, response) => {
    const one = await read(request, verifier);
    received.push(one);
    const job = String(one.event?.data?.id);
    const others = byJob.get(job);
    if (others) others.push(one);
    else byJob.set(job, [one]);
    const given = answer(one);
    if (given !== 'hang') response.writeHead(given.status, given.headers).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    received,
    of: (job) => byJob.get(job) ?? [],
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function read(request: http.IncomingMessage, verifier: Webhook): Promise<Received> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  const { headers, url = '' } = request;
  const common = { id: String(headers['webhook-id']), path: url, headers, body };
  try {
    const event = verifier.verify(body, headers as Record<string, string>);
    return { ...common, isSigned: true, event };
  } catch {
    return { ...common, isSigned: false, event: undefined };
  }
}

/** Returns the settings of an API that may send webhooks to these receivers. */
export function receiverSettings(
  ...receivers: readonly Pick<Receiver, 'origin'>[]
): Record<string, string> {
  return {
    WEBHOOK_HOSTS: receivers.map(({ origin }) => `${origin}=127.0.0.0/8`).join(),
    WEBHOOK_SECRETS: receiverSecret,
  };
}
