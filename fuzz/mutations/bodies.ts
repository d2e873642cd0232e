// Mutations of bodies that are no pictures: JSON, plain text and forms.

import fc, { type Arbitrary } from 'fast-check';
import { type Draft, fieldOf, withField } from '../draft.js';
import { formType, writeForm } from '../originals.js';
import { editBytes, editText, oddTexts } from './edits.js';

/** JSON that an encoder would not write. */
const oddJson = [
  ...[
    '',
    ' ',
    'null',
    '[]',
    '{}',
    '""',
    '0',
    'true',
    '{"input":',
    '{"input":"a",}',
    "{'input':'a'}",
  ],
  ...[
    '{"input":1e400}',
    '{"input":-0}',
    '{"input":NaN}',
    '{"input":"\\ud800"}',
    '{"input":"\\u0000"}',
  ],
  ...['{"input":123456789012345678901234567890}', '{"input":"a","input":1}', '{"input":"a"}{}'],
  ...['\ufeff{"input":"a"}', '{"input":"a"} // b', '{"__proto__":{"input":"a"}}', '{"input":"\n"}'],
  ...['{"constructor":{"prototype":{"input":"a"}}}', '{"input":"a","__proto__":{"top":1}}'],
  ...[
    '{"input":{"__proto__":"a"}}',
    '{"input":{"":""}}',
    '{"input":{"length":1}}',
    '[{"input":"a"}]',
  ],
  ...['{"input":{"a":{"b":"c"}}}', '{"input":"a","top":{"valueOf":1}}', '{"input":"\\u202e"}'],
];
const parameterValues: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(0, -1, 1.5, 1e9, 1e308, null, true, [], {}, '1', ' 2 ', '1e3', [1], ''),
  fc.integer(),
  fc.double(),
  oddTexts,
);
const inputs: Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  oddTexts,
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.dictionary(oddTexts, fc.oneof(oddTexts, fc.base64String({ maxLength: 200 })), { maxKeys: 20 }),
);

// Arbitraries take longer to make than to draw from, so those that depend on nothing are made once.
const members = fc.record(
  { input: inputs, top: parameterValues, deadlineMs: parameterValues, other: fc.jsonValue() },
  { requiredKeys: [] },
);
const anyJson = fc.json({ maxDepth: 6 });
const nested = makeNested();
const encodings = fc.constantFrom<BufferEncoding>('utf8', 'utf8', 'utf8', 'utf16le', 'latin1');
const charsets = fc.constantFrom('utf-8', 'utf-16', 'latin1', 'windows-1252', 'euc-kr', 'gb18030');
const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }).map((text) => Buffer.from(text)),
  fc.string({ unit: 'grapheme', maxLength: 400 }).map((text) => Buffer.from(text, 'utf16le')),
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(20_000, 20_001, 60_000).map((length) => Buffer.alloc(length, 'why ')),
);
const forms = makeForms();

export function mutateJson(draft: Draft): Arbitrary<Draft> {
  const text = draft.body.toString();
  const given = JSON.parse(text) as object;
  const object = members.map((more) => JSON.stringify({ ...given, ...more }));
  const named = fc
    .tuple(oddTexts, fc.constantFrom(...Object.values(given)))
    .map(([name, value]) => JSON.stringify({ input: { [name]: value } }));
  const bodies = fc.oneof(
    { weight: 6, arbitrary: object },
    { weight: 5, arbitrary: editText(text) },
    { weight: 3, arbitrary: fc.constantFrom(...oddJson) },
    { weight: 2, arbitrary: nested },
    { weight: 1, arbitrary: named },
    { weight: 1, arbitrary: anyJson },
  );
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(bodies, encodings)
        .map(([body, encoding]) => ({ ...draft, body: Buffer.from(body, encoding) })),
    },
    { weight: 1, arbitrary: editBytes(draft.body).map((body) => ({ ...draft, body })) },
  );
}

/** Nests arrays or objects, some of them so deeply that a recursive parser would give up. */
function makeNested(): Arbitrary<string> {
  const depth = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(5000, 50_000));
  const level = fc.constantFrom(['[', ']'], ['{"input":', '}'], ['[{"a":', '}]'], ['[', '']);
  return fc.tuple(depth, level, fc.boolean()).map(([times, [open = '', close = ''], isInput]) => {
    const deep = `${open.repeat(times)}1${close.repeat(times)}`;
    return isInput ? `{"input":${deep}}` : deep;
  });
}

export function mutateText(draft: Draft): Arbitrary<Draft> {
  const edited = editText(draft.body.toString()).map((text) => Buffer.from(text));
  const bodies = fc.oneof({ weight: 4, arbitrary: texts }, edited, editBytes(draft.body));
  return fc
    .tuple(bodies, charsets)
    .map(([body, set]) =>
      withField({ ...draft, body }, 'Content-Type', `text/plain; charset=${set}`),
    );
}

export function mutateForm(draft: Draft): Arbitrary<Draft> {
  const bodies = fc.oneof(
    { weight: 4, arbitrary: editBytes(draft.body) },
    { weight: 4, arbitrary: forms },
    {
      weight: 2,
      arbitrary: editText(draft.body.toString('latin1')).map((text) => Buffer.from(text, 'latin1')),
    },
  );
  const types = fc.oneof(
    { weight: 5, arbitrary: fc.constant(fieldOf(draft, 'Content-Type') ?? formType) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        ...[
          'multipart/form-data',
          'multipart/form-data; boundary=',
          'multipart/form-data; boundary=-',
        ],
        ...[`${formType}x`, `${formType}; charset=utf-16`, `${formType}; boundary=other`],
      ),
    },
  );
  return fc
    .tuple(bodies, types)
    .map(([body, type]) => withField({ ...draft, body }, 'Content-Type', type));
}

function makeForms(): Arbitrary<Buffer> {
  const inHeader = fc.oneof(fc.string({ maxLength: 30 }), oddTexts);
  const part = fc.record({
    name: fc.oneof(fc.constantFrom('input', 'top', 'deadlineMs', 'image', '__proto__'), inHeader),
    file: fc.option(inHeader, { nil: undefined }),
    bytes: fc.oneof(
      oddTexts,
      fc.uint8Array({ maxLength: 100 }).map((all) => Buffer.from(all)),
    ),
  });
  return fc
    .oneof(
      { weight: 6, arbitrary: fc.array(part, { maxLength: 5 }) },
      { weight: 1, arbitrary: fc.array(part, { minLength: 15, maxLength: 60 }) },
    )
    .map((parts) => writeForm(parts));
}
