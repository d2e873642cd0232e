// Text inputs: one string, as a BYTES tensor of shape [1].

import { z } from 'zod';
import { countCharacters, isLonger } from '../../shared/characters.js';
import { ScorelineError } from '../../shared/errors.js';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import { shown } from '../../shared/shown.js';
import { encodeStrings } from '../../shared/tensors/tensors.js';
import { elementSchemas } from '../inference/element-schema.js';
import { decodeText } from './charset.js';
import type { InputKind } from './kind.js';
import { normaliseText } from './normalise.js';

export const text: InputKind = {
  noun: 'a text',
  mediaTypes: 'text/*',
  jsonOpening: '"',
  codes: ['text_too_long'],

  fromJson(input) {
    if (typeof input !== 'string') {
      throw new ScorelineError(
        'input_invalid',
        `Expected "input" to be a string, as in {"input": "How do I …?"}; got ${shown(input)}.${remedyFor(input)}`,
      );
    }
    return [{ name: undefined, value: input }];
  },

  fromBytes: (bytes, { name, charset } = {}) => ({ name, value: decodeText(bytes, charset) }),

  prepare({ value }, { manifest: { engine, input } }) {
    if (input.kind !== 'text') {
      throw new Error('Expected a text model for a text. This is a bug.');
    }
    const { charactersMax, normalise } = input;
    const written = String(value);
    // Half of a pair of surrogates has no UTF-8, and would be replaced.
    if (!written.isWellFormed()) {
      throw new ScorelineError(
        'input_invalid',
        'Expected a text of Unicode characters; got half of a pair of surrogates, as if an emoji had been cut in two. Cut texts between characters.',
      );
    }
    if (written.trim() === '') {
      throw new ScorelineError('input_missing', 'Expected a text; got an empty one.');
    }
    checkLength(written, charactersMax);
    const normal = normalise === 'none' ? written : normaliseText(written);
    // Normalising can make a text longer.
    checkLength(normal, charactersMax);
    // ONNX Runtime ends a string at the first NUL.
    if (engine === 'onnx' && normal.includes('\0')) {
      throw new ScorelineError(
        'input_invalid',
        'Expected a text without NUL, as ONNX Runtime takes no others; got one with it. Put blanks in their place.',
      );
    }
    const data = encodeStrings([normal]);
    return [{ name: 'input', datatype: 'BYTES', shape: [1], data }];
  },

  describe({ manifest }) {
    const { engine, input } = manifest;
    if (input.kind !== 'text') throw new Error('Expected a text model for a text. This is a bug.');
    const written = (engine === 'onnx' ? (elementSchemas.BYTES as z.ZodString) : z.string())
      .meta({ maxLength: input.charactersMax })
      .regex(/\S/)
      .refine((value) => value.isWellFormed() && !isLonger(value, input.charactersMax));
    const one = written.describe('The text. It must not be blank.');
    const shown = String(scoresExampleOf(manifest)?.input ?? 'How do I …?');
    return {
      one,
      several: one,
      example: shown,
      mediaTypes: ['text/plain'],
      rawExample: shown,
    };
  },
};

function checkLength(text: string, charactersMax: number): void {
  if (!isLonger(text, charactersMax)) return;
  throw new ScorelineError(
    'text_too_long',
    `Expected a text of at most ${charactersMax} characters; got ${countCharacters(text)}. Shorten it.`,
  );
}

function remedyFor(input: unknown): string {
  if (!Array.isArray(input)) return '';
  return input.every((entry) => typeof entry === 'string')
    ? ' Send several texts as {"inputs": ["…", "…"]}.'
    : ' Rows of a table are for models whose input.kind is table.';
}
