// Parses JSON without rounding long whole numbers, which `JSON.parse` of Node 20 does silently.

/** A whole number of 16 digits and more, which may be beyond 2 ** 53, with the sign before it. */
const longNumber = /[[,:\s]-?\d{16,}(?=[\],}\s])/;
/** The same, or a string, whose contents may look like one. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[[,:\s]-?\d{16,}(?=[\],}\s])/g;

/**
 * Parses JSON. Whole numbers of 16 digits and more become strings of their digits.
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  if (!longNumber.test(text)) return JSON.parse(text);
  const quote = (found: string) =>
    found.startsWith('"') ? found : `${found.charAt(0)}"${found.slice(1)}"`;
  return JSON.parse(text.replace(token, quote));
}
