import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countCharacters, isLonger } from '../../shared/characters.js';

/** Texts with halves of pairs, alone and together. */
const texts = fc
  .array(fc.constantFrom('a', 'é', '😀', '\ud83d', '\ude00'))
  .map((all) => all.join(''));

test('the characters of a text are its code points, and half of a pair is one', () => {
  fc.assert(
    fc.property(texts, (text) => {
      expect(countCharacters(text)).toBe([...text].length);
    }),
  );
});

test('a text is longer than a limit if it has more code points', () => {
  fc.assert(
    fc.property(texts, fc.nat(20), (text, limit) => {
      expect(isLonger(text, limit)).toBe([...text].length > limit);
    }),
  );
});
