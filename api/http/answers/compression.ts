// Compresses answers that are long and in JSON, where a client asks for that.

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { constants, deflate, gzip } from 'node:zlib';
import { sendParts } from './json.js';

const compress = { gzip: promisify(gzip), deflate: promisify(deflate) };
/** Shorter answers fit into few packets anyway. */
const bytesMin = 4096;

/** Sends a text, compressed if the client asks for it and the text is long. */
export async function sendCompressed(
  response: ServerResponse,
  text: string | Buffer,
  headers: OutgoingHttpHeaders,
): Promise<void> {
  const compressed = await compressFor(response.req, text);
  const body = compressed?.bytes ?? (typeof text === 'string' ? Buffer.from(text) : text);
  const encoding = compressed && { 'Content-Encoding': compressed.encoding };
  sendParts(response, [body], { ...headers, ...encoding });
}

/**
 * Compresses a text, in a thread of Node's pool. Returns undefined if the client asks for no compression
 * that we know, or the text is short.
 */
async function compressFor(
  { headers }: IncomingMessage,
  text: string | Buffer,
): Promise<{ encoding: string; bytes: Buffer } | undefined> {
  if (headers['accept-encoding'] === undefined || text.length < bytesMin) return undefined;
  const accepted = acceptedCodings({ headers });
  const encoding = (['gzip', 'deflate'] as const).find((name) => accepted.includes(name));
  if (!encoding) return undefined;
  return { encoding, bytes: await compress[encoding](text, { level: constants.Z_BEST_SPEED }) };
}

/** Returns the names of the codings that the client takes. */
export function acceptedCodings({ headers }: Pick<IncomingMessage, 'headers'>): readonly string[] {
  return String(headers['accept-encoding'] ?? '')
    .toLowerCase()
    .split(',')
    .map(readCoding);
}

/** Returns the name of a coding; none if its weight is 0. */
function readCoding(coding: string): string {
  const [name = '', weight = ''] = coding.split(';');
  return /^\s*q\s*=\s*0(\.0*)?\s*$/.test(weight) ? '' : name.trim();
}
