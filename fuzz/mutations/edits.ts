// Edits of texts and bytes: a piece is cut out somewhere, and another is put in its place.

import fc, { type Arbitrary } from 'fast-check';

/** Texts that parsers, routers and loggers stumble over. */
export const oddTexts: Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    ...['', ' ', '\t', '\0', '\r', '%', '%00', '%0d%0a', '%ff', '%zz', '%2e%2e%2f', '..', '../..'],
    ...['//', '\\', ';', '?', '&', '=', '#', '*', '+', '-', '"', "'", '`', '<script>', '{}', '[]'],
    ...['__proto__', 'constructor', 'toString', 'prototype', 'hasOwnProperty', 'null', 'undefined'],
    ...['NaN', 'Infinity', '-0', '1e400', '0x10', '9007199254740993', '\u{1f600}', '\u202e', 'é'],
    ...['#{7*7}', '{{7*7}}', '%s%n', '$(id)', "' OR 1=1 --", '\u001b[2J', '\u2028', '\ufeff'],
  ),
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.tuple(fc.constantFrom('a', '%41', '/', '../', '0', '[', '(', 'é'), lengths()).map(repeat),
);

/** Lengths around limits, a few of them large. */
function lengths(): Arbitrary<number> {
  return fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 300 }) },
    { weight: 1, arbitrary: fc.constantFrom(1023, 4096, 8192, 16_384, 20_001) },
  );
}

function repeat([text, times]: readonly [string, number]): string {
  return text.repeat(times);
}

interface Edit {
  readonly at: number;
  readonly removed: number;
  readonly piece: string;
}

const makeEdits = (pieces: Arbitrary<string>): Arbitrary<Edit[]> =>
  fc.array(fc.record({ at: fc.nat(), removed: fc.nat({ max: 6 }), piece: pieces }), {
    ...{ minLength: 1, maxLength: 3 },
  });
const oddEdits = makeEdits(oddTexts);

/** Puts odd texts in the place of parts of a text, up to three times. */
export function editText(text: string, pieces: Arbitrary<string> = oddTexts): Arbitrary<string> {
  const some = pieces === oddTexts ? oddEdits : makeEdits(pieces);
  return some.map((edits) =>
    edits.reduce((edited, { at, removed, piece }) => {
      const start = at % (edited.length + 1);
      return edited.slice(0, start) + piece + edited.slice(start + removed);
    }, text),
  );
}

/** Flips, cuts, repeats, removes or replaces some of the bytes. */
export function editBytes(bytes: Buffer, others: readonly Buffer[] = []): Arbitrary<Buffer> {
  const position = fc.oneof(
    fc.nat({ max: Math.max(0, bytes.length - 1) }),
    // Headers are at the beginning.
    fc.nat({ max: Math.max(0, Math.min(63, bytes.length - 1)) }),
  );
  const flips = fc
    .array(fc.tuple(position, fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 12 })
    .map((all) => {
      const edited = Buffer.from(bytes);
      for (const [at, mask] of all) edited[at] = (edited[at] ?? 0) ^ mask;
      return edited;
    });
  const cut = position.map((at) => bytes.subarray(0, at));
  const removal = fc
    .tuple(position, fc.integer({ min: 1, max: 400 }))
    .map(([at, count]) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)]));
  const insertion = fc
    .tuple(position, fc.uint8Array({ minLength: 1, maxLength: 64 }))
    .map(([at, more]) => Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]));
  const number = fc
    .tuple(position, fc.constantFrom(0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff))
    .map(([at, value]) => {
      const edited = Buffer.concat([bytes, Buffer.alloc(4)]);
      edited.writeUInt32BE(value, at);
      return edited.subarray(0, bytes.length);
    });
  const splices = others.map((other) =>
    fc
      .tuple(position, fc.nat({ max: Math.max(0, other.length - 1) }))
      .map(([at, from]) => Buffer.concat([bytes.subarray(0, at), other.subarray(from)])),
  );
  const doubled = fc.constant(Buffer.concat([bytes, bytes]));
  return fc.oneof(flips, cut, removal, insertion, number, doubled, ...splices);
}
