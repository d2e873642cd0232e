// A slow network between a program and Redis.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Transform } from 'node:stream';
import { onTestFinished } from 'vitest';

/** Opens a relay to a Redis that passes so many bytes a second of each connection to it. Returns its URL. */
export async function openNarrow(url: string, bytesPerSecond: number): Promise<string> {
  const { hostname, port } = new URL(url);
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const narrow = new Transform({
      transform: (chunk, _encoding, done) =>
        void setTimeout(done, (chunk.length / bytesPerSecond) * 1000, null, chunk),
    });
    near.pipe(narrow).pipe(far).pipe(near);
    for (const socket of [near, far])
      socket.on('error', () => {}).on('close', () => near.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
