import { ScorelineError } from '../../shared/errors.js';
import type { InputKind } from './kinds.js';

export const text: InputKind = {
  matchesJson: (input) => typeof input === 'string',

  fromJson(input) {
    if (typeof input !== 'string') {
      throw new ScorelineError(
        'input_invalid',
        `Expected "input" to be a text, as in {"input": "How do I …?"}; got ${nameOf(input)}.`,
      );
    }
    return [{ name: undefined, value: input }];
  },

  fromBytes(bytes, name) {
    try {
      return { name, value: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
    } catch (cause) {
      throw new ScorelineError('input_invalid', 'Expected the text in UTF-8; the bytes are not.', {
        cause,
      });
    }
  },

  async prepare({ value }, { manifest }) {
    const max = manifest.input.kind === 'text' ? manifest.input.charactersMax : 0;
    const written = String(value);
    if (written.trim() === '') {
      throw new ScorelineError('input_missing', 'Expected a text; it is empty.');
    }
    if (written.length > max) {
      throw new ScorelineError(
        'text_too_long',
        `Expected a text of at most ${max} characters; got ${written.length}. Shorten it.`,
      );
    }
    // ONNX Runtime ends a string at a NUL.
    return { text: written.replaceAll('\0', ' ') };
  },
};

function nameOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
