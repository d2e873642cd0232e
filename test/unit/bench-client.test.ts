// The benchmarks' HTTP client reads answers that arrive in pieces, of a known length or in chunks.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { encodeRequest, makeClient } from '../../bench/client.js';

const body = JSON.stringify({ text: 'a'.repeat(40_000) });

test.each<[string, (response: ServerResponse) => void]>([
  ['a length', (response) => response.setHeader('Content-Length', body.length).end(body)],
  [
    'chunks',
    (response) => {
      response.write(body.slice(0, 10));
      setTimeout(() => response.end(body.slice(10)), 10);
    },
  ],
])('an answer with %s is read to its end, and then the next one', async (_, respond) => {
  const server = createServer((request, response) =>
    request.resume().on('end', () => respond(response)),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = makeClient((server.address() as AddressInfo).port);
  onTestFinished(() => {
    client.close();
    server.close();
  });
  for (let time = 0; time < 2; time++) {
    const answer = await client.ask(encodeRequest({ pathname: '/', body: '{}' }));
    expect(answer).toMatchObject({ status: 200, body });
  }
});
