// Parses JSON without rounding long whole numbers, which `JSON.parse` of Node 20 does silently.

/**
 * A string, whose contents may look like a number, or a whole number of 16 digits and more, with the sign before it. A
 * string without an end goes to the end of the text: if it were no match, each quote in it would be tried anew.
 */
const token = /"[^"\\]*(?:\\[\s\S]?[^"\\]*)*(?:"|$)|[[,:\s]-?\d{16,}(?=[\],}\s])/g;

/**
 * Parses JSON. Whole numbers of 16 digits and more become strings of their digits.
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  const quote = (found: string) =>
    found.startsWith('"') ? found : `${found.charAt(0)}"${found.slice(1)}"`;
  return JSON.parse(text.replace(token, quote));
}
