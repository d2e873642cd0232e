// Files of any kind, such as sounds and documents: the bytes for a Python program, as a BYTES tensor of shape [1].

import { z } from 'zod';
import { ScorelineError } from '../../shared/errors.js';
import { isJsonObject } from '../../shared/json-object.js';
import { shown } from '../../shared/shown.js';
import { encodeBytes } from '../../shared/tensors/tensors.js';
import { decodeBase64 } from './base64.js';
import type { InputKind } from './kind.js';

const base64 = z
  .string()
  .min(1)
  .describe('A file in base64. It may be a data URL.')
  .meta({ contentEncoding: 'base64' });
const form = z.union([
  base64,
  z
    .record(z.string(), base64)
    .refine((files) => Object.keys(files).length === 1)
    .describe('The file by its name.')
    .meta({ minProperties: 1, maxProperties: 1 }),
]);

export const file: InputKind = {
  noun: 'a file',
  mediaTypes: '*/*',
  jsonOpening: null,
  codes: ['base64_invalid', 'inputs_refused'],

  fromJson(input) {
    if (typeof input === 'string') {
      return [{ name: 'file', value: decodeBase64(input, '"input"') }];
    }
    const entries = isJsonObject(input) ? Object.entries(input) : [];
    const [[name, value] = [undefined, undefined]] = entries;
    if (name === undefined || entries.length > 1) {
      throw new ScorelineError(
        'input_invalid',
        `Expected "input" to be a file in base64, or {"<name>": "<base64>"}; got ${shown(input)}. Send the bytes themselves with their content type, or with application/octet-stream.`,
      );
    }
    return [{ name, value: decodeBase64(value, `the file ${shown(name)}`) }];
  },

  fromBytes: (bytes, { name } = {}) => ({ name, value: bytes }),

  prepare({ value }) {
    const bytes = value as Buffer;
    if (bytes.byteLength === 0) {
      throw new ScorelineError('input_missing', 'Expected a file; got an empty one.');
    }
    return [{ name: 'input', datatype: 'BYTES', shape: [1], data: encodeBytes(bytes) }];
  },

  describe: () => ({
    one: form,
    several: form,
    example: 'UklGRg==',
    mediaTypes: ['application/octet-stream'],
  }),
};
