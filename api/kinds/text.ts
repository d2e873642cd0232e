// Text inputs: one string, as a BYTES tensor of shape [1].

import { ScorelineError } from '../../shared/errors.js';
import { encodeStrings } from '../../shared/tensors.js';
import { decodeText } from './charset.js';
import type { InputKind } from './kind.js';

export const text: InputKind = {
  jsonOpening: '"',

  fromJson(input) {
    if (typeof input !== 'string') {
      throw new ScorelineError(
        'input_invalid',
        `Expected "input" to be a string, as in {"input": "How do I …?"}; got ${nameOf(input)}.`,
      );
    }
    return [{ name: undefined, value: input }];
  },

  fromBytes: (bytes, { name, charset } = {}) => ({ name, value: decodeText(bytes, charset) }),

  prepare({ value }, { manifest }) {
    const max = manifest.input.kind === 'text' ? manifest.input.charactersMax : 0;
    const written = String(value);
    if (written.trim() === '') {
      throw new ScorelineError('input_missing', 'Expected a text; got an empty one.');
    }
    if (written.length > max) {
      throw new ScorelineError(
        'text_too_long',
        `Expected a text of at most ${max} characters; got ${written.length}. Shorten it.`,
      );
    }
    // ONNX Runtime ends a string at the first NUL.
    const data = encodeStrings([written.replaceAll('\0', ' ')]);
    return [{ name: 'input', datatype: 'BYTES', shape: [1], data }];
  },
};

function nameOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
