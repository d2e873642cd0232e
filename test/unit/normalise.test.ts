import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Ending } from '../../api/call/ending.js';
import { normaliseText } from '../../api/kinds/normalise.js';
import { text } from '../../api/kinds/text.js';
import { decodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { root } from '../harness.js';
import { errorOf, makeSampleModel } from './sample-model.js';

interface Case {
  readonly name: string;
  readonly text: string;
  readonly normalised: string;
}

// The training tests normalise.py with the same file.
const cases: Case[] = JSON.parse(
  readFileSync(path.join(root, 'models/faq-matcher/normalise-cases.json'), 'utf8'),
);

describe('normalising a text', () => {
  test.each(cases)('gives the same result as in training: $name', ({ text, normalised }) => {
    expect(normaliseText(text)).toBe(normalised);
    expect(normaliseText(normalised)).toBe(normalised);
  });

  test('leaves ASCII as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
        expect(normaliseText(text)).toBe(text);
      }),
    );
  });

  test('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff), { maxLength: 20 }), (units) => {
        const once = normaliseText(String.fromCharCode(...units));
        expect(normaliseText(once)).toBe(once);
      }),
    );
  });

  test('undoes a phone’s changes to quotes, dashes and dots', () => {
    const typed = `what's "use strict", f(...args) and i--?`;
    const arrived = 'what’s “use strict”, f(…args) and i—?';
    expect(normaliseText(arrived)).toBe(typed);
  });
});

describe('a text in a request', () => {
  const prepared = (value: string, input: Record<string, unknown>) => {
    const model = makeSampleModel({ input: { kind: 'text', ...input } });
    const [tensor] = text.prepare({ name: undefined, value }, model, new Ending()) as Tensor[];
    return decodeStrings((tensor as Tensor).data);
  };

  test('is normalised if the manifest says so, and only then', () => {
    expect(prepared('don’t “copy”', { normalise: 'nfkc-quotes' })).toEqual([`don't "copy"`]);
    expect(prepared('don’t “copy”', {})).toEqual(['don’t “copy”']);
  });

  test('is refused if it is too long before or after that', () => {
    const input = { normalise: 'nfkc-quotes', charactersMax: 5 };
    expect(prepared('—a—', input)).toEqual(['--a--']);
    for (const tooLong of ['——ab', 'abcdef']) {
      expect(errorOf(() => prepared(tooLong, input)).code).toBe('text_too_long');
    }
  });

  test('may have as many Unicode characters as the manifest says, as JSON Schema counts them', () => {
    const input = { charactersMax: 5 };
    expect(prepared('😀'.repeat(5), input)).toEqual(['😀'.repeat(5)]);
    const error = errorOf(() => prepared('😀'.repeat(6), input));
    expect(error).toMatchObject({ code: 'text_too_long' });
    expect(error.message).toContain('got 6');
  });
});
