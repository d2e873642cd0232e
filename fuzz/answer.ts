// Reads the answers of a server from the bytes that came.

import { gunzipSync } from 'node:zlib';

export interface Answer {
  readonly status: number;
  /** The names are in lower case; the values of a field that came twice are joined. */
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
}

interface Read {
  readonly answer: Answer;
  /** How many bytes it took. */
  readonly length: number;
}

/**
 * Reads the first answer, without those that only announce one (1xx). Returns undefined as long as it is
 * not complete.
 * @param options.toHead whether it answers HEAD, so that it has no body
 * @throws Error if the bytes are no HTTP
 */
export function readAnswer(bytes: Buffer, options: { toHead: boolean }): Read | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [first = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const [, digits] = /^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(first) ?? [];
  if (digits === undefined) throw new Error(`no HTTP: ${JSON.stringify(first.slice(0, 100))}`);
  const status = Number(digits);
  const bodyStart = headEnd + 4;
  if (status < 200) {
    const next = readAnswer(bytes.subarray(bodyStart), options);
    return next && { ...next, length: next.length + bodyStart };
  }
  const fields = readFields(lines);
  const rest = bytes.subarray(bodyStart);
  // Behind a HEAD there may be a pipelined request of another method.
  const hasBody =
    (!options.toHead && status !== 304) ||
    (rest.length > 0 && !rest.toString('latin1').startsWith('HTTP/'));
  const body = hasBody ? readBody(rest, fields) : { text: '', length: 0 };
  if (!body) return undefined;
  return { answer: { status, fields, body: body.text }, length: bodyStart + body.length };
}

function readFields(lines: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const known = fields.get(name);
    fields.set(name, known === undefined ? value : `${known}, ${value}`);
  }
  return fields;
}

/** Only answers in lines come in chunks. All others have a length. */
function readBody(
  bytes: Buffer,
  fields: ReadonlyMap<string, string>,
): { text: string; length: number } | undefined {
  if (fields.get('content-type') === 'application/x-ndjson') return readChunks(bytes);
  const given = fields.get('content-length');
  if (given === undefined && fields.get('connection') === 'close') return { text: '', length: 0 };
  const length = Number(given);
  if (given === undefined || !/^\d+$/.test(given)) {
    throw new Error(`expected one Content-Length; got ${given ?? 'none'}`);
  }
  if (bytes.length < length) return undefined;
  const body = bytes.subarray(0, length);
  const isZipped = fields.get('content-encoding') === 'gzip';
  return { text: (isZipped ? gunzipSync(body) : body).toString(), length };
}

function readChunks(bytes: Buffer): { text: string; length: number } | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = bytes.toString('latin1', at, lineEnd);
    if (!/^[\da-f]{1,8}$/i.test(size))
      throw new Error(`expected a chunk; got ${size.slice(0, 60)}`);
    const start = lineEnd + 2;
    const end = start + Number.parseInt(size, 16);
    if (bytes.length < end + 2) return undefined;
    if (end === start) return { text: Buffer.concat(chunks).toString(), length: end + 2 };
    chunks.push(bytes.subarray(start, end));
    at = end + 2;
  }
}
