import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normaliseText } from '../../api/kinds/normalise.js';
import { root } from '../harness.js';

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
