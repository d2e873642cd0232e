// The description has schemas beside readers that are written by hand. Each schema accepts what its reader does.

import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { Ending } from '../../api/call/ending.js';
import {
  deadlineMsSchema,
  readDeadlineAt,
  readDeadlineMs,
  readTop,
  requestTimeoutSchema,
  topSchema,
} from '../../api/http/parameters/parameters.js';
import { elementSchemas } from '../../api/inference/element-schema.js';
import { parseInferJson } from '../../api/inference/exact-json.js';
import { inferFormsOf } from '../../api/inference/forms.js';
import { readInferRequest } from '../../api/inference/infer-request.js';
import { makeInputKinds } from '../../api/kinds/kinds.js';
import { type ErrorCode, ScorelineError } from '../../shared/errors.js';
import { fromJson } from '../../shared/tensors/json-elements.js';
import { datatypes } from '../../shared/tensors/tensors.js';
import { makeSampleModel } from './sample-model.js';

const model = makeSampleModel();
const kinds = makeInputKinds({ imagePixelsMax: 1e6, imagesMax: 3, threads: 4 });

/** Returns with which code the reader refuses a value, if it does. Any other error fails the test. */
function codeOf(read: () => unknown): ErrorCode | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof ScorelineError) return error.code;
    throw error;
  }
}

const isRead = (read: () => unknown) => codeOf(read) === undefined;
const accepts = (schema: z.ZodType, value: unknown) => schema.safeParse(value).success;

const anything = fc.oneof(
  fc.jsonValue(),
  fc.double(),
  fc.integer({ min: -3, max: 9 }),
  fc.constantFrom(0, 1, 1.5, -1, 1e-300, 1e300, null, '', 'NaN'),
);

/** Numbers come as text in queries, headers and forms, and then in JSON, too. */
const noNumberInText = (value: unknown) => typeof value !== 'string';

describe('the schema accepts what the reader does', () => {
  test('of the number of classes', () => {
    const schema = topSchema(model);
    fc.assert(
      fc.property(anything.filter(noNumberInText), (top) => {
        expect(isRead(() => readTop({ top }, model))).toBe(accepts(schema, top));
      }),
    );
  });

  test('of deadlines, also as text in a header', () => {
    const arrived = { deadlineMs: 1000, arrivedAt: 0 };
    fc.assert(
      fc.property(anything.filter(noNumberInText), (deadlineMs) => {
        expect(isRead(() => readDeadlineMs({ deadlineMs }))).toBe(
          accepts(deadlineMsSchema, deadlineMs),
        );
        if (typeof deadlineMs !== 'number' || Object.is(deadlineMs, -0)) return;
        const headers = { 'request-timeout': String(deadlineMs) };
        expect(
          isRead(() => readDeadlineAt({ headers } as unknown as IncomingMessage, {}, arrived)),
        ).toBe(accepts(requestTimeoutSchema, deadlineMs));
      }),
    );
  });

  // Zod looks at no field called __proto__.
  const names = fc.string().filter((name) => name !== '__proto__');
  const inputs = fc.oneof(
    anything,
    fc.string(),
    fc.constantFrom(' ', '\n\t', '\u3000', '\ufeff', '\u0000', 'x'.repeat(20_001)),
    fc.constantFrom('half of \ud83d', '\ude00 half', '\ud83d\ude00'),
    fc.dictionary(names, fc.oneof(fc.base64String(), anything), { maxKeys: 4 }),
  );

  test('of texts', () => {
    const { text } = kinds;
    const read = (value: unknown) => {
      const [input] = text.fromJson(value, model);
      if (input) text.prepare(input, model, new Ending());
    };
    fc.assert(
      fc.property(inputs, (value) => {
        expect(isRead(() => read(value))).toBe(accepts(text.describe(model).one, value));
      }),
    );
  });

  test('of texts, which are not scored if a part of them would be replaced', () => {
    const { text } = kinds;
    const { one } = text.describe(model);
    for (const [value, isTaken] of [
      ['a\ud83d', false],
      ['\ude00b', false],
      ['a\ud83d\ude00b', true],
    ] as const) {
      const read = () => text.prepare({ name: undefined, value }, model, new Ending());
      expect(codeOf(read)).toBe(isTaken ? undefined : 'input_invalid');
      expect(accepts(one, value)).toBe(isTaken);
    }
  });

  test('of images, but for what is inside of their files', () => {
    const { image } = kinds;
    const { several } = image.describe(model);
    fc.assert(
      fc.property(inputs, (value) => {
        const code = codeOf(() => image.fromJson(value));
        const isEmpty = value === '' || Object.values(Object(value)).includes('');
        if (code === 'base64_invalid' || isEmpty) return;
        expect(code === undefined).toBe(accepts(several, value));
      }),
    );
  });
});

describe('rows of a table', () => {
  const columns = [
    { name: 'float', datatype: 'number', missing: 'NaN' },
    { name: 'whole', datatype: 'number' },
    { name: 'small', datatype: 'number' },
    { name: 'class', datatype: 'number', categories: [1, 2.5], missing: -1 },
    { name: 'word', datatype: 'category', missing: '' },
    { name: 'harbour', datatype: 'category', categories: ['Cork', 'Kiel'], missing: '?' },
    { name: 'colour', datatype: 'category', categories: ['red'] },
  ];
  const datatypeOf: Record<string, string> = { float: 'FP32', whole: 'INT64', small: 'UINT8' };
  const inputOf = ({ name, datatype }: (typeof columns)[number]) => ({
    name,
    datatype: datatypeOf[name] ?? (datatype === 'number' ? 'FP64' : 'BYTES'),
    shape: [-1, 1],
  });
  const make = (taken: typeof columns) =>
    makeSampleModel({
      input: { kind: 'table', columns: taken },
      network: {
        inputs: taken.map(inputOf),
        outputs: [{ name: 'p', datatype: 'FP32', shape: [-1, 5] }],
      },
      example: undefined,
    });
  const tableModel = make(columns);
  const { table } = kinds;
  const right = { whole: 1, small: 2, colour: 'red' };
  const read = (from: typeof tableModel, value: unknown) => {
    const [row] = table.fromJson(value, from);
    if (row) table.prepare(row, from, new Ending());
  };
  const values = [
    ...[0, 1, 2.5, -1, 255, 256, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 3.4e38, 3.5e38, 1e308],
    ...[null, true, [], {}, '', '?', 'NaN', '1', 'Cork', 'red', 'a\0', '\ud800', '\ud83d\ude00'],
    ...['x'.repeat(1000), 'x'.repeat(1001)],
  ];

  test.each([...columns.map(({ name }) => name), 'unknown'])(
    'have the same values in %s for their schema and for their reader',
    (name) => {
      const { one } = table.describe(tableModel);
      const differing = [...values, undefined].filter((value) => {
        const { [name]: _, ...others } = right as Record<string, unknown>;
        const row = value === undefined ? others : { ...others, [name]: value };
        return isRead(() => read(tableModel, row)) !== accepts(one, row);
      });
      expect(differing).toEqual([]);
    },
  );

  test('are refused before they are prepared if they have far more fields than columns', () => {
    const rowOf = (fields: number) =>
      Object.fromEntries(Array.from({ length: fields }, (_, at) => [`field ${at}`, 0]));
    const fieldsMax = columns.length + 1000;
    expect(codeOf(() => table.fromJson(rowOf(fieldsMax), tableModel))).toBeUndefined();
    expect(codeOf(() => table.fromJson(rowOf(fieldsMax + 1), tableModel))).toBe('input_invalid');
  });

  test('are no other values, and not empty', () => {
    const optional = make(columns.filter(({ missing }) => missing !== undefined));
    for (const from of [tableModel, optional]) {
      const { one } = table.describe(from);
      for (const value of [{}, right, { word: 'a' }, [], [right], null, 'red', 3]) {
        expect(accepts(one, value), JSON.stringify(value)).toBe(isRead(() => read(from, value)));
      }
    }
  });

  test('are what the example is', () => {
    const { one, example } = table.describe(tableModel);
    expect(accepts(one, example)).toBe(true);
    expect(isRead(() => read(tableModel, example))).toBe(true);
  });

  test('are described without a network, too', () => {
    const { input } = tableModel.manifest;
    const undeclared = makeSampleModel({ input, example: undefined });
    expect(accepts(table.describe(undeclared).one, right)).toBe(true);
  });
});

describe('the elements of tensors', () => {
  const limits = [7, 8, 15, 16, 31, 32, 63, 64].flatMap((bits) => {
    const limit = 2n ** BigInt(bits);
    return [limit - 1n, limit, limit + 1n, -limit + 1n, -limit, -limit - 1n].map(String);
  });
  const floats = [
    ...[65_504, 65_519.99, 65_520, -65_520, -65_519.99].map(String),
    ...[3.4028234663852886e38, 3.4028235677973362e38, 3.4028235677973366e38, 1e308].map(String),
  ];
  const others = ['true', 'false', '1.5', '0', '-0', '"x"', '"NaN"', '"-Infinity"', '"\\u0000"'];
  const texts = [...limits, ...floats, ...others, 'null', '{}', '[]'];

  test.each(datatypes)('of %s are accepted by their schema as by their reader', (datatype) => {
    const differing = texts.filter((text) => {
      // The reader gets long whole numbers of 64 bits as text. The schema sees the number, as a client writes it.
      const isKnown = accepts(elementSchemas[datatype], JSON.parse(text));
      const request = `{"inputs":[{"datatype":"${datatype}","data":[${text}]}]}`;
      const { inputs } = parseInferJson(request) as { inputs: { data: unknown }[] };
      const read = isRead(() => fromJson({ name: 'a', datatype, shape: [1] }, inputs[0]?.data));
      return read !== isKnown && !isBeyondExact(text, datatype) && !isNul(text, datatype);
    });
    expect(differing).toEqual([]);
  });

  /** These are rounded on the way to the schema, and exact on the way to the reader. */
  const isBeyondExact = (text: string, datatype: string) =>
    /INT64$/.test(datatype) && !Number.isSafeInteger(Number(text)) && /^-?\d{16,}$/.test(text);
  /** The check of strings comes later, for binary tensors as well. */
  const isNul = (text: string, datatype: string) => datatype === 'BYTES' && text.includes('0000');
});

describe('a request of the Open Inference Protocol', () => {
  const tensorModel = makeSampleModel({
    ...{ input: { kind: 'tensors' }, output: { kind: 'tensors' }, example: undefined },
    network: {
      inputs: [{ name: 'a', datatype: 'INT8', shape: [-1, 2] }],
      outputs: [
        { name: 'b', datatype: 'FP32', shape: [-1] },
        { name: 'c', datatype: 'BYTES', shape: [-1] },
      ],
    },
  });
  const forms = inferFormsOf(tensorModel, 4);
  const right = { name: 'a', datatype: 'INT8', shape: [1, 2], data: [1, 2] };

  test.each<[string, Record<string, unknown>]>([
    ['a row', { inputs: [right] }],
    ['nested data', { inputs: [{ ...right, data: [[1, 2]] }] }],
    ['data nested in part', { inputs: [{ ...right, data: [1, [2]] }] }],
    ['data nested too deep', { inputs: [{ ...right, data: [[[1, 2]]] }] }],
    ['four rows', { inputs: [{ ...right, shape: [4, 2], data: [1, 2, 3, 4, 5, 6, 7, 8] }] }],
    ['too many rows', { inputs: [{ ...right, shape: [5, 2], data: Array(10).fill(1) }] }],
    ['no row', { inputs: [{ ...right, shape: [0, 2], data: [] }] }],
    ['another shape', { inputs: [{ ...right, shape: [1, 3], data: [1, 2, 3] }] }],
    ['another rank', { inputs: [{ ...right, shape: [2] }] }],
    ['another datatype', { inputs: [{ ...right, datatype: 'INT16' }] }],
    ['an unknown datatype', { inputs: [{ ...right, datatype: 'INT4' }] }],
    ['another name', { inputs: [{ ...right, name: 'x' }] }],
    ['a number that does not fit', { inputs: [{ ...right, data: [1, 128] }] }],
    ['an input too many', { inputs: [right, { ...right, name: 'b' }] }],
    ['no inputs', { inputs: [] }],
    ['no key inputs', {}],
    ['outputs', { inputs: [right], outputs: [{ name: 'c' }, { name: 'b' }] }],
    ['an unknown output', { inputs: [right], outputs: [{ name: 'd' }] }],
    ['an empty list of outputs', { inputs: [right], outputs: [] }],
    ['classes', { inputs: [right], outputs: [{ name: 'b', parameters: { classification: 3 } }] }],
    [
      'classes of texts',
      { inputs: [right], outputs: [{ name: 'c', parameters: { classification: 3 } }] },
    ],
    [
      'no classes of texts',
      { inputs: [right], outputs: [{ name: 'c', parameters: { classification: 0 } }] },
    ],
    [
      'too many classes',
      { inputs: [right], outputs: [{ name: 'b', parameters: { classification: 1025 } }] },
    ],
    ['a flag', { inputs: [right], parameters: { binary_data_output: true } }],
    ['a flag that is none', { inputs: [right], parameters: { binary_data_output: 1 } }],
    ['an id', { inputs: [right], id: 'x' }],
    ['an id that is no text', { inputs: [right], id: 5 }],
    ['more keys', { inputs: [{ ...right, more: 1 }], more: [] }],
  ])('with %s', (_, request) => {
    const isAccepted = isRead(() =>
      readInferRequest(request, Buffer.alloc(0), { model: tensorModel, rowsMax: 4 }),
    );
    expect(forms && accepts(forms.request, request)).toBe(isAccepted);
  });

  test('is what the example is', () => {
    const read = readInferRequest(forms?.example, Buffer.alloc(0), {
      model: tensorModel,
      rowsMax: 4,
    });
    expect(read.rows).toBe(1);
    expect(forms && accepts(forms.request, forms.example)).toBe(true);
  });
});
