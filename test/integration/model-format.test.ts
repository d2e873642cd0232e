// What `npm run models -- add` says to files of every format: which exporter makes ONNX of them, or why none does.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeExport } from '../../cli/models/export.js';
import { type Format, formatOf } from '../../cli/models/format.js';
import { readZipNames } from '../../cli/models/zip-names.js';
import { makeFolder } from '../unit/sample-model.js';

const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex');

/** An archive with these files, each empty. */
function archive(...names: string[]): Buffer {
  const entries = names.map((name) => {
    const fields = Buffer.alloc(46);
    fields.writeUInt32LE(0x02014b50);
    fields.writeUInt16LE(name.length, 28);
    return Buffer.concat([fields, Buffer.from(name)]);
  });
  const directory = Buffer.concat(entries);
  const start = Buffer.concat([hex('504b0304'), Buffer.alloc(26)]);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(names.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(start.length, 16);
  return Buffer.concat([start, directory, end]);
}

const formatOfContent = (content: string | Buffer, name = 'model.bin') =>
  formatOf(`${makeFolder({ [name]: content })}/${name}`);

describe('the format of a model', () => {
  const known: [what: string, content: string | Buffer, format: Format][] = [
    ['a pickle', hex('8004 95 0b'), 'pickle'],
    ['a compressed pickle', hex('789c 6b60'), 'pickle'],
    ['an old file of torch.save', hex('8002 8a0a6cfc9c46f9206aa85019 2e'), 'pytorch'],
    ['torch.export.save', archive('m/models/model.json', 'm/archive_format'), 'pytorch'],
    ['TorchScript', archive('m/data.pkl', 'm/code/__torch__.py', 'm/constants.pkl'), 'pytorch'],
    ['Keras', archive('metadata.json', 'config.json', 'model.weights.h5'), 'keras'],
    ['HDF5', hex('894844460d0a1a0a 00'), 'keras'],
    ['LightGBM', 'tree\nversion=v4\nnum_class=1\n', 'lightgbm'],
    ['XGBoost in JSON', '{"learner":{"attributes":{}}}', 'xgboost'],
    ['XGBoost in UBJSON', hex('7b4c 0000000000000007 6c6561726e6572 7b'), 'xgboost'],
    ['CatBoost', 'CBM1....', 'catboost'],
    ['ONNX', hex('0808 1207'), 'onnx'],
  ];
  test.each(known)('is known by its content: %s', (_, content, format) => {
    expect(formatOfContent(content)).toBe(format);
  });

  test('is known of a SavedModel by its folder, and of old pickles and ONNX by their names', () => {
    expect(formatOf(makeFolder({ 'saved_model.pb': 'x' }))).toBe('saved-model');
    expect(formatOfContent('(dp0\n.', 'a.pkl')).toBe('pickle');
    expect(formatOfContent('a text', 'a.onnx')).toBe('onnx');
  });

  const unknown: [what: string, content: string | Buffer, says: string][] = [
    ['nothing', '', 'is empty'],
    ['a text', 'hello, I am a text', 'no format known here; it begins with "hello, I am a te"'],
    ['bytes', hex('fffe0001'), 'begins with ff fe 00 01'],
    ['TensorFlow Lite', hex('1c000000 54464c33'), 'tf2onnx.convert --tflite'],
    ['the ORT format', hex('1c000000 4f52544d'), 'Add the ONNX file'],
    ['GGUF', 'GGUF....', 'no generative language models'],
    [
      'safetensors',
      Buffer.concat([hex('4000000000000000'), Buffer.from('{"a":{')]),
      'without their network',
    ],
    ['another archive', archive('readme.txt'), 'it has readme.txt'],
    ['a pointer of Git LFS', 'version https://git-lfs.github.com/spec/v1\noid', 'git lfs pull'],
    ['a web page', '\n<!DOCTYPE html><title>Not found', 'is a web page'],
    ['an archive that is cut off', archive('m/data.pkl').subarray(0, 60), 'is cut off'],
  ];
  test.each(unknown)('is refused with a remedy: %s', (_, content, says) => {
    expect(() => formatOfContent(content)).toThrow(says);
  });

  test('is refused for a pipe, which nobody may ever write to', () => {
    const pipe = path.join(makeFolder({}), 'model.onnx');
    execFileSync('mkfifo', [pipe]);
    expect(() => formatOf(pipe)).toThrow('is a pipe, a device or a socket');
  });

  test.each(['model.safetensors', 'model-00001-of-00002.safetensors', 'pytorch_model.bin'])(
    'says how a folder of transformers becomes ONNX: %s',
    (weights) => {
      const folder = makeFolder({ 'config.json': '{}', [weights]: 'x' });
      expect(() => formatOf(folder)).toThrow(`optimum-cli export onnx --model ${folder} FOLDER`);
    },
  );

  test('is refused for a folder without a SavedModel, which is named', () => {
    expect(() => formatOf(makeFolder({ 'weights.h5': 'x' }))).toThrow('it has weights.h5');
  });
});

describe('the names in an archive', () => {
  test('are none if its directory is damaged, wherever', () => {
    const whole = archive('m/data.pkl', 'm/constants.pkl');
    const file = (content: Buffer) => `${makeFolder({ a: content })}/a`;
    expect(readZipNames(file(whole))).toEqual(['m/data.pkl', 'm/constants.pkl']);
    for (let at = 30; at < whole.length; at++) {
      expect(readZipNames(file(whole.subarray(0, at)))).toEqual([]);
    }
  });
});

test('the message names the exact commands, and warns of files that hold code', () => {
  const pickle = describeExport({ file: 'a/b.joblib', format: 'pickle', shape: [] });
  expect(pickle).toContain('npm run models -- add a/b.joblib --export\n');
  expect(pickle).toContain(
    'npm run python -- exporters/scikit-learn.txt exporters/from_scikit_learn.py a/b.joblib b.onnx',
  );
  expect(pickle).toContain('runs the code in it');
  const booster = describeExport({ file: 'b.txt', format: 'lightgbm', shape: [] });
  expect(booster).not.toContain('runs the code');
});
