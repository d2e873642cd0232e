// Parses JSON without rounding long whole numbers, which `JSON.parse` of Node 20 does silently.

/**
 * A string, whose contents may look like a number, or a whole number of 16 digits and more, with the sign before it. A
 * string without an end goes to the end of the text: if it were no match, each quote in it would be tried anew.
 */
const token = /"[^"\\]*(?:\\[\s\S]?[^"\\]*)*(?:"|$)|[[,:\s]-?\d{16,}(?=[\],}\s])/g;

/** A whole number of 16 digits and more, which may be beyond 2 ** 53, with the sign before it. A string may have it, too. */
export const longNumber = /[[,:\s]-?\d{16,}(?=[\],}\s])/;

/**
 * Parses JSON. Whole numbers of 16 digits and more become strings of their digits.
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  const quote = (found: string) =>
    found.startsWith('"') ? found : `${found.charAt(0)}"${found.slice(1)}"`;
  // A number is found by what stands around it, and the whole text may be one.
  return JSON.parse(` ${text} `.replace(token, quote));
}

/**
 * Whether a `number` cannot hold the whole number that these digits are. A float that is whole is written as digits, too,
 * which are all that there is of it.
 */
export function isRounded(digits: string): boolean {
  const number = Number(digits);
  return (
    String(number) !== digits && !(Number.isFinite(number) && BigInt(number) === BigInt(digits))
  );
}
