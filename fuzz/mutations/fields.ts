// Mutations of header fields. The framing stays intact: lengths and transfer encodings are for the
// mutations of HTTP itself.

import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import fc, { type Arbitrary } from 'fast-check';
import { asBytes, type Draft, type Field, withField, withoutField } from '../draft.js';
import { editText, oddTexts } from './edits.js';

const charsets = [
  'utf-8',
  'utf8',
  'UTF-16LE',
  'utf-7',
  'iso-8859-1',
  'shift_jis',
  'x',
  '"utf-8"',
  '',
];
const types = [
  ...[
    'application/json',
    'text/plain',
    'text/html',
    'image/jpeg',
    'image/svg+xml',
    'image/*',
    '*/*',
  ],
  ...['multipart/form-data', 'multipart/mixed; boundary=a', 'application/x-www-form-urlencoded'],
  ...['application/octet-stream', 'application/json+x', 'json', 'a/b/c', ';', '', 'text/plain,a/b'],
  ...['multipart/form-data; boundary=', 'multipart/form-data; boundary="a', 'application/pdf'],
];
/** Values that mean something, or nearly, by the name of their field. */
const known: Readonly<Record<string, readonly string[]>> = {
  Accept: ['text/html', 'application/xml', '*/*;q=0', 'a', ','],
  'Accept-Encoding': ['gzip', 'identity;q=0', '*'],
  Authorization: ['Basic YTpi', 'Bearer', 'Bearer a b', 'Negotiate', 'Digest a="b"'],
  Connection: ['close', 'keep-alive', 'Upgrade', 'X-API-Key', 'close, keep-alive', ','],
  'Content-Encoding': [
    'gzip',
    'x-gzip',
    'deflate',
    'br',
    'zstd',
    'gzip, gzip',
    'identity',
    'GZIP ',
  ],
  Cookie: ['a=b', '=', 'a; ; b', '__proto__=1'],
  Expect: ['100-continue', '100-Continue', '200-ok', ''],
  Forwarded: ['for=127.0.0.1;proto=https', 'for=_'],
  Host: ['a', '127.0.0.1:99999', '[::1', 'a b', '', '../a', '169.254.169.254'],
  'If-None-Match': ['*', '"a"'],
  Origin: ['https://a.example', 'null'],
  Prefer: ['respond-async', 'wait=5', 'wait=-1', 'return=minimal'],
  Range: ['bytes=0-0', 'bytes=-1', 'bytes=9-1'],
  'Request-Timeout': ['30', '0', '-1', '0.001', '1e9', 'NaN', '99999999999999999999', '1,5', '١'],
  TE: ['trailers', 'gzip'],
  Upgrade: ['websocket', 'h2c', 'TLS/1.0'],
  'X-Forwarded-For': ['127.0.0.1', 'a', '::'],
  'X-Forwarded-Proto': ['https', 'http', 'ftp'],
  'X-HTTP-Method-Override': ['DELETE', 'GET'],
  'X-Request-Id': ['a', '{"level":60}', 'a b', 'é', 'x'.repeat(200)],
};
const names = [...Object.keys(known), 'Content-Type', 'X-API-Key', 'Idempotency-Key', 'X', 'a_b'];

// Arbitraries take longer to make than to draw from, so those that depend on nothing are made once.
const field = makeField();
const contentType = makeContentType();
const tooMany = fc.array(field, { minLength: 60, maxLength: 140 });

/** A line break would start another field. */
function inLine(value: string): string {
  return asBytes(value.replace(/[\r\n]/g, ' '));
}

export function mutateFields(draft: Draft): Arbitrary<Draft> {
  const fields = draft.fields as Field[];
  const own = fc.constantFrom(...fields);
  return fc.oneof(
    { weight: 6, arbitrary: field.map(([name, value]) => withField(draft, name, value)) },
    { weight: 3, arbitrary: contentType.map((type) => withField(draft, 'Content-Type', type)) },
    { weight: 2, arbitrary: field.map((more) => ({ ...draft, fields: [...fields, more] })) },
    // Twice, with the same value or another.
    { weight: 2, arbitrary: own.map((again) => ({ ...draft, fields: [...fields, again] })) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(own, field)
        .map(([[name], [, value]]) => ({ ...draft, fields: [...fields, [name, value] as Field] })),
    },
    { weight: 2, arbitrary: own.map(([name]) => withoutField(draft, name)) },
    {
      weight: 2,
      arbitrary: own.chain(([name, value]) =>
        editText(value).map((edited) => withField(draft, name, inLine(edited))),
      ),
    },
    fc.mixedCase(own.map(([name]) => name)).map((name) => {
      const value = fields.find(([given]) => given.toLowerCase() === name.toLowerCase())?.[1];
      return withField(draft, name, value ?? '');
    }),
    compressed(draft),
    tooMany.map((more) => ({ ...draft, fields: [...fields, ...more] })),
  );
}

function makeField(): Arbitrary<Field> {
  const fields = names.map((name) =>
    fc
      .oneof({ weight: 3, arbitrary: fc.constantFrom(...(known[name] ?? ['a', ''])) }, oddTexts)
      .map((value): Field => [name, inLine(value)]),
  );
  return fc.oneof(...fields);
}

function makeContentType(): Arbitrary<string> {
  const type = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...types) }, oddTexts);
  const charset = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...charsets) }, oddTexts);
  return fc.oneof(
    type.map(inLine),
    fc.tuple(type, charset).map(([one, set]) => inLine(`${one}; charset=${set}`)),
  );
}

/** Compresses the body, and declares the same compression, another, or one that is cut off. */
function compressed(draft: Draft): Arbitrary<Draft> {
  const ways = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync } as const;
  const way = fc.constantFrom(...(Object.keys(ways) as (keyof typeof ways)[]));
  const damage = fc.constantFrom('none', 'cut', 'more');
  return fc.tuple(way, way, damage).map(([made, declared, damaged]) => {
    const bytes = ways[made](draft.body);
    const bodies = {
      none: bytes,
      cut: bytes.subarray(0, bytes.length / 2),
      more: Buffer.concat([bytes, Buffer.from('more')]),
    };
    return withField(
      { ...draft, body: bodies[damaged as keyof typeof bodies] },
      'Content-Encoding',
      declared,
    );
  });
}
