// Tests where columns go in a network, and what a manifest with wrong columns is told.

import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readManifest } from '../../shared/manifest/file.js';
import { type Column, encodeBlock, placeColumns } from '../../shared/manifest/table.js';
import { type Datatype, decodeStrings } from '../../shared/tensors/tensors.js';
import { errorOf, makeFolder, sampleManifest } from './sample-model.js';

const number = (name: string, more: Record<string, unknown> = {}) =>
  ({ name, datatype: 'number', ...more }) as Column;
const category = (name: string, more: Record<string, unknown> = {}) =>
  ({ name, datatype: 'category', ...more }) as Column;
const input = (name: string, datatype: Datatype, ...shape: number[]) => ({ name, datatype, shape });
const outputs = [input('probabilities', 'FP32', -1, 5)];

/** Lists the inputs of a network with the columns that each takes. */
function place(columns: Column[], ...inputs: ReturnType<typeof input>[]) {
  return placeColumns(columns, inputs).map((block) => [
    block.name,
    ...block.columns.map(({ name }) => name),
  ]);
}

function readTable(columns: unknown[], ...inputs: ReturnType<typeof input>[]) {
  const { example: _, ...others } = sampleManifest;
  const network = inputs.length > 0 ? { network: { inputs, outputs } } : {};
  const manifest = { ...others, input: { kind: 'table', columns }, ...network };
  return readManifest(path.join(makeFolder({ 'sample/model.yaml': manifest }), 'sample'));
}

describe('columns', () => {
  test('go into the input of their very name before one that skl2onnx could have written', () => {
    const inputs = ['a_b', 'ä', 'a b'].map((name) => input(name, 'FP32', -1, 1));
    expect(place([number('a b'), number('a_b'), number('ä')], ...inputs)).toEqual([
      ['a_b', 'a_b'],
      ['ä', 'ä'],
      ['a b', 'a b'],
    ]);
  });

  test('go into the inputs of their names, in any order, as skl2onnx writes the names', () => {
    const columns = [category('colour'), number('mean radius (mm)'), number('größe')];
    const inputs = [
      input('mean_radius__mm_', 'FP32', -1, 1),
      input('größe', 'INT64', -1),
      input('colour', 'BYTES', -1, 1),
    ];
    expect(place(columns, ...inputs)).toEqual([
      ['mean_radius__mm_', 'mean radius (mm)'],
      ['größe', 'größe'],
      ['colour', 'colour'],
    ]);
  });

  test('go into matrices in the order of the manifest', () => {
    const columns = [number('a'), number('b'), category('c')];
    const matrices = [input('x', 'FP32', -1, 2), input('y', 'BYTES', -1, 1)];
    expect(place(columns, ...matrices)).toEqual([
      ['x', 'a', 'b'],
      ['y', 'c'],
    ]);
    expect(place([number('a'), number('b')], input('x', 'FP64', -1, -1))).toEqual([
      ['x', 'a', 'b'],
    ]);
  });

  test('become a tensor of one row of the datatype and the shape of the input', () => {
    const [matrix] = placeColumns([number('a'), number('b')], [input('x', 'FP32', -1, 2)]);
    const floats = encodeBlock(matrix as never, [1.5, Number.NaN]);
    expect(floats).toMatchObject({ name: 'x', datatype: 'FP32', shape: [1, 2] });
    expect([...new Float32Array(floats.data.buffer as ArrayBuffer)]).toEqual([1.5, Number.NaN]);
    const [whole] = placeColumns([number('a')], [input('a', 'INT64', -1)]);
    const long = encodeBlock(whole as never, [-3]);
    expect(long).toMatchObject({ shape: [1] });
    expect([...new BigInt64Array(long.data.buffer as ArrayBuffer)]).toEqual([-3n]);
    const [texts] = placeColumns([category('a')], [input('a', 'BYTES', -1, 1)]);
    expect(decodeStrings(encodeBlock(texts as never, ['ä']).data)).toEqual(['ä']);
  });
});

describe('a table in a manifest', () => {
  test('needs no network before it has been checked', () => {
    expect(readTable([number('a')]).input).toEqual({ kind: 'table', columns: [number('a')] });
  });

  test('may give NaN as what is missing, in YAML or as a word', () => {
    const yaml = `${JSON.stringify({ ...sampleManifest, example: undefined, input: undefined }).slice(0, -1)},
"input": {"kind": "table", "columns": [{"name": "a", "datatype": "number", "missing": .nan},
{"name": "b", "datatype": "number", "missing": NaN}]}}`;
    const { input } = readManifest(path.join(makeFolder({ 'sample/model.yaml': yaml }), 'sample'));
    const missing = { datatype: 'number', missing: 'NaN' };
    expect(input).toMatchObject({ columns: [missing, missing] });
  });

  /** Messages, and the columns and inputs that they are about. */
  const refused: Record<string, [columns: object[], inputs: ReturnType<typeof input>[]]> = {
    'input.columns: expected': [[], []],
    'input.columns: expected each name once': [[number('a'), number('a')], []],
    'input.columns.0.datatype: expected "number" or "category"; got "text"': [
      [number('a', { datatype: 'text' })],
      [],
    ],
    'input.columns.0.missing: expected a number or NaN; got "none"': [
      [number('a', { missing: 'none' })],
      [],
    ],
    'input.columns.0.missing: expected the text that stands for a missing category, such as "" or "<missing>"; NaN is for numbers':
      [[category('a', { missing: 'NaN' })], []],
    'input.columns: expected 2 columns, as many as the network takes: "x" of FP32[-1,2]': [
      [number('a'), number('b'), number('c')],
      [input('x', 'FP32', -1, 2)],
    ],
    'input.columns: expected a column for the input "b" of FP32[-1,1]': [
      [number('a'), number('c')],
      [input('a', 'FP32', -1, 1), input('b', 'FP32', -1, 1)],
    ],
    'input.columns: expected a column for the input "a" of FP32[-1,1]': [
      [number('c'), number('d')],
      [input('a', 'FP32', -1, 1), input('b', 'FP32', -1, 1)],
    ],
    'input.columns.0.datatype: expected number, since the input "a" is FP32; got "category"': [
      [category('a')],
      [input('a', 'FP32', -1, 1)],
    ],
    'input.columns.1.datatype: expected category, since the input "x" is BYTES; got "number"': [
      [category('a'), number('b')],
      [input('x', 'BYTES', -1, 2)],
    ],
    'input.columns.0.missing: expected a whole number from -9007199254740991 to 9007199254740991': [
      [number('a', { missing: 'NaN' })],
      [input('a', 'INT64', -1, 1)],
    ],
    'input.columns.0.categories.1: expected a whole number from 0 to 255, since the input "a" is UINT8; got 300':
      [[number('a', { categories: [1, 300] })], [input('a', 'UINT8', -1, 1)]],
    'expected a network that takes strings, whole numbers, FP32 or FP64 in "a"': [
      [number('a')],
      [input('a', 'BOOL', -1, 1)],
    ],
    'expected a network whose inputs have the shape [rows] or [rows, columns], unlike "a"': [
      [number('a')],
      [input('a', 'FP32', -1, 1, 1)],
    ],
  };
  test.each(Object.entries(refused))('is refused: %s', (words, [columns, inputs]) => {
    const { code, message } = errorOf(() => readTable(columns, ...inputs));
    expect(code).toBe('manifest_invalid');
    expect(message).toContain(words);
  });

  test('has a row as its example, and a regression a number', () => {
    const read = (changes: Record<string, unknown>) =>
      errorOf(() =>
        readManifest(
          path.join(
            makeFolder({ 'sample/model.yaml': { ...sampleManifest, ...changes } }),
            'sample',
          ),
        ),
      ).message;
    const table = { input: { kind: 'table', columns: [number('a')] } };
    expect(read(table)).toContain('example.input: expected a value for each column, a number');
    expect(read({ example: { input: { a: 1 }, expected: { label: 'cat' } } })).toContain(
      'example.input: expected a text',
    );
    const example = { input: { a: 1 }, expected: { label: 'cat' } };
    expect(read({ ...table, output: { kind: 'regression' }, example })).toContain(
      'example.expected.label: expected the label of the best class if its output has classes, and only then',
    );
    expect(read({ ...table, example: { input: { a: 1 }, expected: { value: 1 } } })).toContain(
      'example.expected.value: expected a number if its output is a regression, and only then',
    );
  });
});
