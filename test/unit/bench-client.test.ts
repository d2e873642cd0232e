// The benchmarks' HTTP client reads answers that arrive in pieces, of a known length or in chunks.

import type { ServerResponse } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { encodeRequest, makeClient } from '../../bench/client.js';
import { openPeer } from '../peer.js';

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
  const { url } = await openPeer((response, request) => request.on('end', () => respond(response)));
  const client = makeClient(Number(new URL(url).port));
  onTestFinished(client.close);
  for (let time = 0; time < 2; time++) {
    const answer = await client.ask(encodeRequest({ pathname: '/', body: '{}' }));
    expect(answer).toMatchObject({ status: 200, body });
  }
});
