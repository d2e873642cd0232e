// When the TLS certificate of the token issuer expires. Behind an expired one, its keys cannot be fetched,
// and no token gets in.

import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { Instruments } from '../../shared/metrics/instruments.js';

const lookEveryMs = 3_600_000;
const againAfterMs = 60_000;
const answerMsMax = 5000;

/** Looks at the certificate now and once an hour. Returns a function that ends it. */
export function observeIssuerCertificate(
  instruments: Instruments,
  issuer: string | undefined,
): () => void {
  if (issuer === undefined || !issuer.startsWith('https:')) return () => {};
  const { hostname, port } = new URL(issuer);
  let expiresAtMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const look = async () => {
    expiresAtMs = await readExpiry(hostname.replace(/^\[|\]$/g, ''), Number(port || 443));
    if (isClosed) return;
    timer = setTimeout(look, expiresAtMs === undefined ? againAfterMs : lookEveryMs).unref();
  };
  void look();
  instruments.read('issuerCertificateSeconds', () =>
    expiresAtMs === undefined ? [] : [[{}, expiresAtMs / 1000]],
  );
  return () => {
    isClosed = true;
    clearTimeout(timer);
  };
}

/**
 * Returns when the certificate of a server expires, in milliseconds since the epoch; undefined if the server
 * cannot be reached. An expired certificate counts, too, and nothing is sent to the server.
 */
async function readExpiry(host: string, port: number): Promise<number | undefined> {
  let socket: TLSSocket | undefined;
  try {
    socket = connect({ host, port, servername: host, rejectUnauthorized: false });
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(answerMsMax) });
    const atMs = Date.parse(socket.getPeerCertificate().valid_to);
    return Number.isFinite(atMs) ? atMs : undefined;
  } catch {
    return undefined;
  } finally {
    socket?.on('error', () => {});
    socket?.destroy();
  }
}
