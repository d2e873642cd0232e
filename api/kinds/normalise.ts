// A text as a model that was trained on ASCII is to see it: typographic quotes and dashes become the
// ASCII ones they were typed as, and Unicode's compatible forms become one (NFKC).
//
// Phones and word processors replace what is typed: `don't` becomes `don’t`, `--` a long dash. The
// FAQ matcher's training applies the same rule to its texts, in models/faq-matcher/normalise.py.
// normalise-cases.json in that folder holds both to it.

// Long dashes are two hyphens: that is what a phone makes them of, and `i--` is code.
const replacements: Readonly<Record<string, string>> = {
  "'": '\u00b4\u02bc\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a',
  '"': '\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033\u2036',
  '-': '\u2010\u2011\u2012\u2013\u2212',
  '--': '\u2014\u2015',
};
const asciiOf = new Map(
  Object.entries(replacements).flatMap(([ascii, characters]) =>
    Array.from(characters, (character) => [character, ascii] as const),
  ),
);
const replaced = new RegExp(`[${Object.values(replacements).join('')}]`, 'g');
const beyondAscii = /[^\0-\x7f]/;

// Sorting the marks of one letter takes time that grows with the square of their number: 20,000 of
// them would hold up the event loop for 0.3 s. Thirty are the limit of Unicode's Stream-Safe Text Format.
// The two characters that are named become marks by NFKC.
const tooManyMarks = /([\p{M}\uff9e\uff9f]{30})[\p{M}\uff9e\uff9f]+/gu;

/**
 * Quotes, primes and dashes as ASCII, and NFKC. The text can become longer, 18 times at the most, so
 * limits on its length belong behind this.
 */
export function normaliseText(text: string): string {
  if (!beyondAscii.test(text)) return text;
  // Once before NFKC, which makes a space of the acute accent and two primes of the double one; once
  // after it, since it makes some of these characters out of others.
  return toAscii(toAscii(text.replace(tooManyMarks, '$1')).normalize('NFKC'));
}

function toAscii(text: string): string {
  return text.replace(replaced, (character) => asciiOf.get(character) as string);
}
