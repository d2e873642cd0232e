// Which operators a model may use: those that ONNX Runtime brings along. Any other is code from elsewhere, which
// a worker never loads.

import { listed } from '../../shared/listed.js';
import { shown } from '../../shared/shown.js';
import type { Operator } from './onnx-file.js';

/** The domains of ONNX, and those of ONNX Runtime, also for graphs that it has optimised and saved. */
const ownDomains: ReadonlySet<string> = new Set([
  '',
  'ai.onnx.ml',
  'ai.onnx.training',
  'ai.onnx.preview.training',
  'com.microsoft',
  'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
]);

/** A node that holds a program for one kind of device, or the path of one. */
const compiled = 'EPContext';

/** Returns what is wrong with the operators of a model; undefined if nothing is. */
export function findOperatorFault(operators: readonly Operator[]): string | undefined {
  const custom = operators.filter(({ domain }) => !ownDomains.has(domain));
  if (custom.length > 0) {
    return `expected operators of ONNX and ONNX Runtime only; got the custom ${custom.length === 1 ? 'operator' : 'operators'} ${listed(custom.map(show), 3)}. Workers load no code for custom operators. Export the model without them, or with their definition as a function of the model.`;
  }
  if (operators.some(({ domain, name }) => domain === 'com.microsoft' && name === compiled)) {
    return `expected a network; got one that is compiled for a device (${compiled}). Workers run no compiled programs. Export the model without compiling it.`;
  }
  return undefined;
}

/** Quotes a name of the file, cut to 100 characters. */
function show({ domain, name }: Operator): string {
  return shown(`${domain}.${name}`, 100);
}
