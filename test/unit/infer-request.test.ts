import { describe, expect, test } from 'vitest';
import { readInferRequest } from '../../api/inference/infer-request.js';
import { encodeStrings } from '../../shared/tensors/tensors.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const network = {
  inputs: [
    { name: 'a', datatype: 'FP32', shape: [-1, 2] },
    { name: 'b', datatype: 'BYTES', shape: [-1] },
  ],
  outputs: [
    { name: 'scores', datatype: 'FP32', shape: [-1, 5] },
    { name: 'word', datatype: 'BYTES', shape: [-1] },
  ],
};
const tensors = { input: { kind: 'tensors' }, output: { kind: 'tensors' }, example: undefined };
const model = makeSampleModel({ ...tensors, network });
const a = { name: 'a', datatype: 'FP32', shape: [1, 2], data: [1, 2] };
const b = { name: 'b', datatype: 'BYTES', shape: [1], data: ['x'] };

const read = (value: unknown, binary: Buffer = Buffer.alloc(0)) =>
  readInferRequest(value, binary, { model, rowsMax: 8 });
const parametersOf = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`p${at}`, 0]));
const binaryOf = (input: { data: unknown }, size: unknown) => {
  const { data: _, ...head } = input;
  return { ...head, parameters: { binary_data_size: size } };
};

describe('a request of the Open Inference Protocol', () => {
  test('has any bytes for a Python program, and any text in UTF-8 if it takes texts', () => {
    const asProgram = (sample: typeof model): typeof model => ({
      ...sample,
      manifest: { ...sample.manifest, engine: 'python' },
    });
    const program = asProgram(model);
    const readFor = (of: typeof model, inputs: unknown[], binary: Buffer) =>
      readInferRequest({ inputs }, binary, { model: of, rowsMax: 8 });
    const raw = Buffer.from([3, 0, 0, 0, 255, 0, 254]);
    const [, sound] = readFor(program, [a, binaryOf(b, raw.length)], raw).inputs;
    expect(Buffer.from(sound?.data ?? [])).toEqual(raw);
    const texts = { inputs: [network.inputs[1]], outputs: [network.outputs[0]] };
    const reader = asProgram(makeSampleModel({ network: texts }));
    expect(readFor(reader, [{ ...b, data: ['a\0b'] }], Buffer.alloc(0)).rows).toBe(1);
    expect(errorOf(() => readFor(reader, [binaryOf(b, raw.length)], raw))).toMatchObject({
      message: expect.stringContaining('strings in UTF-8 in "b", as the program takes no others'),
    });
  });

  test('has the categories that the model knows, in the columns of a table', () => {
    const columns = [
      { name: 'size', datatype: 'number', categories: [0.1, 2], missing: 'NaN' },
      { name: 'weight', datatype: 'number' },
      { name: 'colour', datatype: 'category', categories: ['red', 'grün'], missing: '?' },
    ];
    const rows = makeSampleModel({ ...tensors, input: { kind: 'table', columns }, network });
    const readRows = (numbers: unknown[], colours: string[]) => {
      const shapes = [[colours.length, 2], [colours.length]];
      const inputs = [
        { ...a, shape: shapes[0], data: numbers },
        { ...b, shape: shapes[1], data: colours },
      ];
      return readInferRequest({ inputs }, Buffer.alloc(0), { model: rows, rowsMax: 8 });
    };
    const raw = Buffer.from(Float32Array.from([Number.NaN, 5]).buffer);
    const missing = { ...binaryOf(a, raw.length), datatype: 'FP32' };
    const limits = { model: rows, rowsMax: 8 };
    expect(readRows([0.1, 7, 2, Number.MAX_SAFE_INTEGER], ['grün', '?']).rows).toBe(2);
    expect(readInferRequest({ inputs: [missing, { ...b, data: ['red'] }] }, raw, limits).rows).toBe(
      1,
    );
    for (const [numbers, colours, message] of [
      [
        [0.1, 7, 2, 1],
        ['red', 'RED'],
        'the column "colour" to be one of the 2 categories that the model knows, "red", "grün"; got "RED" at row 1.',
      ],
      [
        [0.1, 7, 3, 1],
        ['red', 'red'],
        'the column "size" to be one of the 2 categories that the model knows, 0.1, 2; got 3 at row 1.',
      ],
    ] as const) {
      expect(errorOf(() => readRows([...numbers], [...colours]))).toMatchObject({
        code: 'input_invalid',
        message: `Expected ${message}`,
      });
    }
  });

  test('has its strings decoded if their content type is base64', () => {
    const readOne = (text: string) =>
      read({ inputs: [a, { ...b, parameters: { content_type: 'base64' }, data: [text] }] })
        .inputs[1];
    expect(readOne('S8O2bG4=')?.data).toEqual(encodeStrings(['Köln']));
    expect(readOne('')?.data).toEqual(encodeStrings(['']));
    for (const text of ['Köln', 'S8O2bG4', 'S8O2 bG4']) {
      expect(errorOf(() => readOne(text)).message).toContain(
        'Expected base64 in "b", as its "content_type" says; got another text at index 0.',
      );
    }
    // ONNX Runtime takes no others, whatever their form was.
    expect(errorOf(() => readOne('/w==')).message).toContain('Expected strings in UTF-8');
  });

  test("may have a list of strings as a column, as MLServer's clients write it", () => {
    const readShape = (shape: number[]) => read({ inputs: [a, { ...b, shape }] });
    expect(readShape([1, 1]).inputs[1]).toEqual(read({ inputs: [a, b] }).inputs[1]);
    for (const shape of [[1, 2], [1, 1, 1], [2, 1], []]) {
      expect(errorOf(() => readShape(shape)).message).toContain('"b"');
    }
  });

  test.each([
    ['inputs', 1024, 'many inputs', { inputs: Array(1025).fill(0) }],
    ['inputs', 1024, 'many inputs that are right', { inputs: Array(1025).fill(a) }],
    ['outputs', 1024, 'many outputs', { inputs: [a, b], outputs: Array(1025).fill('') }],
    ['parameters', 64, 'many parameters', { inputs: [a, b], parameters: parametersOf(65) }],
    [
      'parameters',
      64,
      'an input with many',
      { inputs: [b, { ...a, parameters: parametersOf(65) }] },
    ],
    [
      'parameters',
      64,
      'an output with many',
      { inputs: [a, b], outputs: [{ name: 'word', parameters: parametersOf(65) }] },
    ],
  ])('has at most so many %s: %i (%s)', (what, max, _case, value) => {
    const error = errorOf(() => read(value));
    expect(error.code).toBe('input_invalid');
    expect(error.message).toBe(`Expected at most ${max} ${what}; got more.`);
  });

  test('may have as many parameters, outputs and inputs as these bounds say', () => {
    const parameters = parametersOf(64);
    expect(read({ inputs: [{ ...a, parameters }, b], parameters }).rows).toBe(1);
    expect(errorOf(() => read({ inputs: Array(1024).fill(a) })).code).toBe('tensor_invalid');
  });

  test.each([
    null,
    5,
    'x',
    [],
    { inputs: null },
    { inputs: [null, 5, []] },
    { inputs: { length: 1e9 } },
    { inputs: [{ shape: 'x'.repeat(100) }], parameters: 'x'.repeat(100) },
  ])('is refused if it is of another form, such as %j', (value) => {
    expect(errorOf(() => read(value)).message).toContain(
      'Expected a request of the Open Inference Protocol',
    );
  });

  test('asks for all outputs unless it names some', () => {
    expect(read({ inputs: [b, a] })).toMatchObject({
      id: undefined,
      rows: 1,
      isSelective: false,
      outputs: [
        { name: 'scores', isBinary: false, classes: 0 },
        { name: 'word', isBinary: false, classes: 0 },
      ],
    });
    const some = [{ name: 'word', parameters: { binary_data: false } }, { name: 'scores' }];
    const parameters = { binary_data_output: true };
    expect(read({ inputs: [a, b], outputs: some, parameters })).toMatchObject({
      isSelective: true,
      outputs: [
        { name: 'word', isBinary: false },
        { name: 'scores', isBinary: true },
      ],
    });
  });

  test('has its binary tensors in the memory of its body', () => {
    const body = Buffer.concat([encodeStrings(['xyz']), Buffer.from(Float32Array.of(1, 2).buffer)]);
    const { inputs } = read({ inputs: [binaryOf(b, 7), binaryOf(a, 8)] }, body);
    expect(inputs.map(({ data }) => data.buffer)).toEqual([body.buffer, body.buffer]);
    expect(inputs.map(({ data }) => data.byteLength)).toEqual([7, 8]);
  });

  test('gives each named dimension of the network one size', () => {
    const named = makeSampleModel({
      ...tensors,
      network: {
        inputs: ['a', 'b', 'c'].map((name) => ({
          name,
          datatype: 'UINT8',
          shape: name === 'c' ? ['rows', -1] : ['rows', 'length'],
        })),
        outputs: network.outputs,
      },
    });
    const ask = (...lengths: number[]) => {
      const inputs = lengths.map((length, at) => ({
        name: 'abc'[at],
        datatype: 'UINT8',
        shape: [1, length],
        data: new Array(length).fill(0),
      }));
      return readInferRequest({ inputs }, Buffer.alloc(0), { model: named, rowsMax: 8 });
    };
    expect(ask(3, 3, 4).rows).toBe(1);
    expect(errorOf(() => ask(3, 4, 3))).toMatchObject({
      code: 'tensor_invalid',
      message:
        'Expected one size for the dimension "length" of the network; got 3 in "a" of UINT8[1,3] and 4 in "b" of UINT8[1,4].',
    });
  });

  const bytes = (...numbers: number[]) => Buffer.from(numbers);
  const lying = bytes(9, 0, 0, 0, 120);
  const huge = 2 ** 31 - 1;

  type Row = [what: string, words: string, value: unknown, binary?: Buffer];
  const refused: Record<string, Row[]> = {
    input_invalid: [
      ['a list', 'got something else at the body', []],
      ['null', 'at the body', null],
      ['no inputs', 'at inputs', {}],
      ['an empty list of inputs', 'at inputs', { inputs: [] }],
      ['an id that is a number', 'at id', { id: 5, inputs: [a, b] }],
      [
        'an input without a shape',
        'at inputs.0.shape',
        { inputs: [{ name: 'a', datatype: 'FP32' }] },
      ],
      ['a shape of texts', 'inputs.0.shape.0', { inputs: [{ ...a, shape: ['1', 2] }, b] }],
    ],
    tensor_invalid: [
      [
        'an input too few',
        'Expected the inputs "a" of FP32[-1,2], "b" of BYTES[-1]; got "a".',
        { inputs: [a] },
      ],
      ['an input too many', 'got "a", "b", "c"', { inputs: [a, b, { ...a, name: 'c' }] }],
      ['an input twice', 'Expected each input once; got "a" twice', { inputs: [a, a] }],
      [
        'an unknown datatype',
        'the datatype FP32 in "a"; got "FLOAT"',
        { inputs: [{ ...a, datatype: 'FLOAT' }, b] },
      ],
      [
        'another datatype',
        '"a" of FP32[-1,2]; got "a" of INT8[1,2]',
        { inputs: [{ ...a, datatype: 'INT8' }, b] },
      ],
      ['another size', 'got "a" of FP32[1,3]', { inputs: [{ ...a, shape: [1, 3] }, b] }],
      ['another rank', 'got "a" of FP32[2]', { inputs: [{ ...a, shape: [2] }, b] }],
      ['a very high rank', ',…]', { inputs: [{ ...a, shape: Array(64).fill(1) }, b] }],
      [
        'more dimensions than a shape may have',
        'at most 64 dimensions in a shape; got 65',
        { inputs: [{ ...a, shape: Array(65).fill('') }, b] },
      ],
      [
        'a negative size',
        'whole numbers from 0 to 2147483647 as the shape of "a"',
        { inputs: [{ ...a, shape: [-1, 2] }, b] },
      ],
      ['a broken size', '[1.5,2]', { inputs: [{ ...a, shape: [1.5, 2] }, b] }],
      ['a huge size', '[1e+300,2]', { inputs: [{ ...a, shape: [1e300, 2] }, b] }],
      [
        'sizes whose product is huge',
        'at most 2^53 elements',
        { inputs: [{ ...a, shape: [huge, huge, huge] }, b] },
      ],
      [
        'more elements than data',
        'Expected 4294967294 elements',
        { inputs: [{ ...a, shape: [huge, 2] }, b] },
      ],
      [
        'no rows',
        'at least one row',
        {
          inputs: [
            { ...a, shape: [0, 2], data: [] },
            { ...b, shape: [0], data: [] },
          ],
        },
      ],
      [
        'different rows',
        'the same first dimension',
        { inputs: [a, { ...b, shape: [2], data: ['x', 'y'] }] },
      ],
      ['neither data nor bytes', 'got nothing', { inputs: [{ ...a, data: undefined }, b] }],
      [
        'both data and bytes',
        'data or binary_data_size in "a"; got both',
        { inputs: [{ ...a, parameters: { binary_data_size: 8 } }, b] },
        Buffer.alloc(8),
      ],
      [
        'more bytes than there are',
        'at most the 4 that are left',
        { inputs: [binaryOf(a, 8), b] },
        Buffer.alloc(4),
      ],
      ['a negative number of bytes', 'got -8', { inputs: [binaryOf(a, -8), b] }, Buffer.alloc(8)],
      [
        'a number of bytes that is text',
        'got "8"',
        { inputs: [binaryOf(a, '8'), b] },
        Buffer.alloc(8),
      ],
      [
        'bytes that do not fit the shape',
        'Expected 8 bytes in the tensor "a"',
        { inputs: [binaryOf(a, 4), b] },
        Buffer.alloc(4),
      ],
      [
        'bytes that nobody claims',
        'Expected 0 bytes behind the JSON',
        { inputs: [a, b] },
        Buffer.alloc(4),
      ],
      ['strings whose lengths lie', 'leads beyond the end', { inputs: [a, binaryOf(b, 5)] }, lying],
      [
        'strings that are cut off',
        'leads beyond the end',
        { inputs: [a, binaryOf(b, 2)] },
        bytes(0, 0),
      ],
      ['strings too many', 'Expected 1 strings', { inputs: [a, binaryOf(b, 8)] }, Buffer.alloc(8)],
      ['strings with NUL', 'without NUL in "b"', { inputs: [a, { ...b, data: ['a\0b'] }] }],
      [
        'strings that are not UTF-8',
        'in UTF-8',
        { inputs: [a, binaryOf(b, 5)] },
        bytes(1, 0, 0, 0, 255),
      ],
      [
        'an output nobody has',
        'Expected an output of the network, "scores" of FP32[-1,5], "word" of BYTES[-1]; got "x"',
        { inputs: [a, b], outputs: [{ name: 'x' }] },
      ],
      [
        'an output twice',
        'each output once; got "word" twice',
        { inputs: [a, b], outputs: [{ name: 'word' }, { name: 'word' }] },
      ],
    ],
    too_many_inputs: [
      [
        'too many rows',
        'at most 8 rows',
        {
          inputs: [
            { ...a, shape: [9, 2], data: Array(18).fill(1) },
            { ...b, shape: [9], data: Array(9).fill('') },
          ],
        },
      ],
    ],
    parameter_invalid: [
      [
        'shared memory',
        'a region of shared memory',
        { inputs: [{ ...a, parameters: { shared_memory_region: 'r' } }, b] },
      ],
      [
        'a sequence',
        'models keep nothing between requests; got a "sequence_id"',
        { inputs: [a, b], parameters: { sequence_id: 7, sequence_start: true } },
      ],
      [
        'classes of strings',
        'only for outputs of numbers',
        { inputs: [a, b], outputs: [{ name: 'word', parameters: { classification: 2 } }] },
      ],
      [
        'a broken number of classes',
        'got 1.5',
        { inputs: [a, b], outputs: [{ name: 'scores', parameters: { classification: 1.5 } }] },
      ],
      [
        'too high a number of classes',
        'at most 1024; got 1025',
        { inputs: [a, b], outputs: [{ name: 'scores', parameters: { classification: 1025 } }] },
      ],
      [
        'a flag that is no flag',
        '"binary_data" to be true or false; got "yes"',
        { inputs: [a, b], outputs: [{ name: 'scores', parameters: { binary_data: 'yes' } }] },
      ],
    ],
  };
  describe.each(Object.entries(refused))('is refused with %s', (code, rows) => {
    test.each(rows)('if it has %s', (_what, words, value, binary) => {
      const error = errorOf(() => read(value, binary));
      expect(error.code).toBe(code);
      expect(error.message).toContain(words);
      expect(error.message.length).toBeLessThan(500);
    });
  });

  test('may not have a lone surrogate, which has no UTF-8', () => {
    const value = JSON.parse(
      String.raw`{"inputs": [null, {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["\ud800"]}]}`,
    );
    value.inputs[0] = a;
    expect(errorOf(() => read(value)).message).toContain('to be a string of Unicode characters');
  });

  test('may not have a BOOL that is neither 0 nor 1', () => {
    const inputs = [{ name: 'a', datatype: 'BOOL', shape: [-1] }];
    const flags = makeSampleModel({ ...tensors, network: { ...network, inputs } });
    const value = { inputs: [binaryOf({ ...a, ...inputs[0], shape: [2] } as typeof a, 2)] };
    const options = { model: flags, rowsMax: 8 };
    const error = errorOf(() => readInferRequest(value, bytes(1, 2), options));
    expect(error.message).toContain('bytes of 0 or 1 in "a"; got 2 at index 1');
  });

  test('may not have longer texts than the model takes', () => {
    const inputs = [{ name: 'text', datatype: 'BYTES', shape: [-1] }];
    const input = { kind: 'text', charactersMax: 3 };
    const texts = makeSampleModel({ input, network: { ...network, inputs } });
    const ask = (text: string) =>
      readInferRequest(
        { inputs: [{ name: 'text', datatype: 'BYTES', shape: [1], data: [text] }] },
        Buffer.alloc(0),
        { model: texts, rowsMax: 8 },
      );
    expect(ask('äöü').rows).toBe(1);
    expect(ask('😀😀😀').rows).toBe(1);
    expect(errorOf(() => ask('abcd'))).toMatchObject({ code: 'text_too_long' });
  });

  test('needs a manifest that declares the network', () => {
    const undeclared = makeSampleModel();
    const options = { model: undeclared, rowsMax: 8 };
    const error = errorOf(() => readInferRequest({ inputs: [a] }, Buffer.alloc(0), options));
    expect(error.code).toBe('network_undeclared');
  });
});
