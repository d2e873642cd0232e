// Parses JSON without rounding long whole numbers, which `JSON.parse` of Node 20 does silently.

/** A whole number of 16 digits and more, which may be beyond 2 ** 53, with the sign before it. */
const longNumber = /[[,:\s]-?\d{16,}(?=[\],}\s])/;
/** The same, or a string, whose contents may look like one. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[[,:\s]-?\d{16,}(?=[\],}\s])/g;

/**
 * Parses the JSON of a request of the Open Inference Protocol. In tensors of INT64 and UINT64, whole numbers of 16
 * digits and more become strings of their digits. Everything else stays what the client wrote.
 * @throws SyntaxError
 */
export function parseInferJson(text: string): unknown {
  const request = JSON.parse(text);
  if (!longNumber.test(text)) return request;
  const inputs = inputsOf(request);
  for (const [at, exact] of inputsOf(parseExactly(text)).entries()) {
    if (/^U?INT64$/.test(String(exact?.datatype))) inputs[at].data = exact.data;
  }
  return request;
}

// biome-ignore lint/suspicious/noExplicitAny: nothing is known of the request yet.
function inputsOf(request: any): any[] {
  return Array.isArray(request?.inputs) ? request.inputs : [];
}

/**
 * Parses JSON. Whole numbers of 16 digits and more become strings of their digits.
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  const quote = (found: string) =>
    found.startsWith('"') ? found : `${found.charAt(0)}"${found.slice(1)}"`;
  return JSON.parse(text.replace(token, quote));
}
