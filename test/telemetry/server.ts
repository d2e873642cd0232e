import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Server } from 'node:net';

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Listens on a free port of this machine. */
export async function listening(server: Server): Promise<void> {
  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
}
