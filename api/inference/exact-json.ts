// Parses JSON without rounding long whole numbers, which `JSON.parse` of Node 20 does silently.

/** A whole number of 16 digits and more, which may be beyond 2 ** 53. */
const longNumber = /[[,:\s]-?\d{16,}[\],}\s]/;
/** A string, or a number of any form. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const longToken = /^-?\d{16,}$/;

/**
 * Parses JSON. Whole numbers of 16 digits and more become strings of their digits.
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  if (!longNumber.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(token, (found) => (longToken.test(found) ? `"${found}"` : found)));
}
