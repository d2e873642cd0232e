// Normalises texts for models that were trained on ASCII: typographic quotes and dashes become ASCII,
// and Unicode compatibility forms become one form (NFKC).
//
// Phones and word processors replace typed characters: `don't` becomes `don’t`, and `--` becomes a long
// dash. The FAQ matcher's training normalises its texts by the same rule, in
// models/faq-matcher/normalise.py. The file normalise-cases.json in that folder tests both.

// A long dash becomes two hyphens, because phones make it from two, and because `i--` is code.
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

// NFKC sorts the combining marks of a letter in quadratic time: 20,000 marks would block the event loop
// for 0.3 s. Unicode's Stream-Safe Text Format allows thirty. NFKC turns the two halfwidth characters
// in this expression into marks.
const tooManyMarks = /([\p{M}\uff9e\uff9f]{30})[\p{M}\uff9e\uff9f]+/gu;

/**
 * Converts quotes, primes and dashes to ASCII, and the rest to NFKC. The text can grow up to 18 times,
 * so check its length afterwards.
 */
export function normaliseText(text: string): string {
  if (!beyondAscii.test(text)) return text;
  // Convert before NFKC, because it turns an acute accent into a space and a double prime into two
  // primes. Convert again afterwards, because it produces some of these characters from others.
  return toAscii(toAscii(text.replace(tooManyMarks, '$1')).normalize('NFKC'));
}

function toAscii(text: string): string {
  return text.replace(replaced, (character) => asciiOf.get(character) as string);
}
