// Parses the JSON of a request without rounding the long whole numbers of its tensors.

import { longNumber, parseExactly } from '../../shared/exact-json.js';
import { bodyBounds, parseJson } from '../parse-json.js';

/** How long the lists of a tensor are on average at least, such as `[0,1],`. How long all may be is a setting. */
const listBytesMin = 6;

/**
 * Parses the JSON of a request of the Open Inference Protocol. In tensors of INT64 and UINT64, whole numbers of 16
 * digits and more become strings of their digits. Everything else stays what the client wrote.
 * @throws SyntaxError; ScorelineError `body_too_large`
 */
export function parseInferJson(text: string): unknown {
  const request = parseLists(text);
  if (!longNumber.test(text)) return request;
  const inputs = inputsOf(request);
  for (const [at, exact] of inputsOf(parseExactly(text)).entries()) {
    if (/^U?INT64$/.test(String(exact?.datatype))) inputs[at].data = exact.data;
  }
  return request;
}

/**
 * Parses JSON in which the numbers of tensors may be.
 * @throws SyntaxError; ScorelineError `body_too_large`
 */
export function parseLists(text: string): unknown {
  const parts = Math.max(bodyBounds.parts, Math.floor(text.length / listBytesMin));
  return parseJson(text, { parts, commas: Number.POSITIVE_INFINITY });
}

// biome-ignore lint/suspicious/noExplicitAny: nothing is known of the request yet.
function inputsOf(request: any): any[] {
  return Array.isArray(request?.inputs) ? request.inputs : [];
}
