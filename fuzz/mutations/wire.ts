// Mutations of HTTP itself: what a server may take for two requests, for half of one, or for none.

import fc, { type Arbitrary } from 'fast-check';
import { type Draft, encode } from '../draft.js';
import { editBytes, editText, oddTexts } from './edits.js';

/** Lines of a head that say how long the body is, or nearly. */
const framings = [
  ...['Content-Length: 0', 'Content-Length: -1', 'Content-Length: 1e3', 'Content-Length: 0x10'],
  ...['Content-Length: 99999999999999999999', 'Content-Length: 5, 5', 'Content-Length : 5'],
  ...['Content-Length:', 'Content-Length: +5', 'Content-Length: 17000000', 'content-length: 5'],
  ...[
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity',
    'Transfer-Encoding: gzip, chunked',
  ],
  ...[
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding: chunked, chunked',
    'Transfer-Encoding:\tchunked',
  ],
  ...[' folded', 'no colon', ': no name', 'X: a\rb', 'X\0: a', 'X: a\0b', 'Host: b', 'Trailer: X'],
];
const chunks = [
  ...[
    '0\r\n\r\n',
    '5\r\nabcde\r\n0\r\n\r\n',
    '5;a=b\r\nabcde\r\n0\r\n\r\n',
    '5\r\nabc',
    'g\r\n',
    '-1\r\n',
  ],
  ...[
    'ffffffffffffffff1\r\n',
    '5\nabcde\n0\n\n',
    '00000005\r\nabcde\r\n0\r\nX: a\r\n\r\n',
    '5\r\nabcdefg\r\n',
  ],
  ...[`5;${'a'.repeat(20_000)}\r\n`, '0\r\nContent-Length: 5\r\n\r\n'],
];
const firstLines = [
  ...[
    '',
    '\r\n\r\n\r\n',
    'GET /',
    'GET / HTTP/0.9\r\n\r\n',
    'GET / HTTP/2.0\r\n\r\n',
    'GET / HTTP/1.\r\n\r\n',
  ],
  ...[
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03',
    '*1\r\n$4\r\nPING\r\n',
  ],
  ...[
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.0\r\n\r\n',
    'GET /v1/models HTTP/1.1 HTTP/1.1\r\n\r\n',
  ],
];

export function mutateWire(draft: Draft): Arbitrary<Buffer> {
  const whole = encode(draft);
  const text = whole.toString('latin1');
  const headEnd = text.indexOf('\r\n\r\n') + 4;
  const head = text.slice(0, headEnd);
  const own = text.slice(headEnd);
  const latin1 = (all: Arbitrary<string>) => all.map((one) => Buffer.from(one, 'latin1'));

  const insertLine = fc
    .tuple(fc.constantFrom(...framings), fc.boolean())
    .map(([line, isFirst]) =>
      isFirst
        ? text.replace('\r\n', `\r\n${line}\r\n`)
        : `${head.slice(0, -2)}${line}\r\n\r\n${own}`,
    );
  const chunked = fc
    .tuple(fc.array(fc.oneof(fc.constantFrom(...chunks), oddTexts), { maxLength: 3 }), fc.boolean())
    .map(([all, hasLength]) => {
      const lines = hasLength ? head : head.replace(/Content-Length: \d+\r\n/, '');
      return `${lines.slice(0, -2)}Transfer-Encoding: chunked\r\n\r\n${all.join('')}`;
    });
  const wrongLength = fc
    .integer({ min: -30, max: 30 })
    .map((by) =>
      text.replace(/Content-Length: (\d+)/, (_, n) => `Content-Length: ${Number(n) + by}`),
    );
  const lineEnds = fc
    .constantFrom('\n', '\r', '\r\r\n', '\n\r', ' \r\n', '\r\n ')
    .map((end) => head.replaceAll('\r\n', end) + own);

  return fc.oneof(
    { weight: 4, arbitrary: editBytes(whole) },
    { weight: 3, arbitrary: latin1(editText(head).map((edited) => edited + own)) },
    { weight: 4, arbitrary: latin1(insertLine) },
    { weight: 4, arbitrary: latin1(chunked) },
    { weight: 3, arbitrary: latin1(wrongLength) },
    { weight: 2, arbitrary: latin1(lineEnds) },
    { weight: 2, arbitrary: fc.nat({ max: whole.length }).map((at) => whole.subarray(0, at)) },
    { weight: 2, arbitrary: latin1(fc.constantFrom(...firstLines)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((all) => Buffer.from(all)) },
    // Pipelined, the second one perhaps cut off or without a credential.
    {
      weight: 2,
      arbitrary: fc
        .tuple(editText(head), fc.integer({ min: 1, max: 4 }))
        .map(([other, times]) =>
          Buffer.concat([
            ...Array.from({ length: times }, () => whole),
            Buffer.from(other, 'latin1'),
          ]),
        ),
    },
  );
}
