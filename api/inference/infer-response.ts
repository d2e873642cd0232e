// The answer of the Open Inference Protocol: JSON, and behind it the data of binary outputs.

import type { Model } from '../../shared/registry/models.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { classify } from './classes.js';
import type { InferRequest, OutputForm } from './infer-request.js';
import { checkListed, toJson } from './json-tensor.js';
import { type JoinedTensor, joinRows } from './rows.js';

export interface InferResponse {
  readonly json: string;
  /** The data of binary outputs, in order. It shares the memory of the replies. */
  readonly binary: readonly Uint8Array[];
}

/**
 * Writes the answer to a request.
 * @param items the outputs of each item
 * @throws ScorelineError `model_output_mismatch`, `result_too_large`
 */
export function writeInferResponse(
  model: Model,
  asked: Pick<InferRequest, 'id' | 'outputs'>,
  items: readonly (readonly Tensor[])[],
): InferResponse {
  const { id, outputs: forms } = asked;
  const binary: Uint8Array[] = [];
  const formed = formOutputs(model, asked, items);
  checkListed(formed.filter((_, at) => !forms[at]?.isBinary).map(sizeOf));
  const outputs = formed.map((output, at) => writeOutput(output, forms[at] as OutputForm, binary));
  const head = JSON.stringify({ model_name: model.name, model_version: model.version, id });
  return { json: `${head.slice(0, -1)},"outputs":[${outputs.join()}]}`, binary };
}

/**
 * Returns the outputs that a request asks for, in its order and as it wants them.
 * @param items the outputs of each item
 * @throws ScorelineError `model_output_mismatch`
 */
export function formOutputs(
  model: Model,
  { outputs: forms }: Pick<InferRequest, 'outputs'>,
  items: readonly (readonly Tensor[])[],
): JoinedTensor[] {
  return joinRows(items.map((outputs) => forms.map((form) => formOf(outputs, form, model))));
}

/** Returns the outputs of all items that the answer has as lists of their elements. */
export function listedOf(
  { outputs: forms }: Pick<InferRequest, 'outputs'>,
  items: readonly (readonly Tensor[])[],
): Tensor[] {
  const isListed = (name: string) =>
    forms.some((form) => form.name === name && !form.isBinary && form.classes === 0);
  return items.flatMap((outputs) => outputs.filter(({ name }) => isListed(name)));
}

/** How much there is to list of an output. */
export function sizeOf({ datatype, parts }: JoinedTensor) {
  return { datatype, bytes: parts.reduce((sum, { byteLength }) => sum + byteLength, 0) };
}

function formOf(outputs: readonly Tensor[], { name, classes }: OutputForm, model: Model): Tensor {
  const output = outputs.find((tensor) => tensor.name === name);
  if (!output) throw new Error(`A reply lacks the output ${name}. This is a bug.`);
  return classes === 0 ? output : classify(output, classes, model);
}

function writeOutput(output: JoinedTensor, { isBinary }: OutputForm, binary: Uint8Array[]): string {
  const { name, datatype, shape, parts } = output;
  const head = JSON.stringify({ name, datatype, shape }).slice(0, -1);
  if (!isBinary) {
    const elements = parts.filter(({ length }) => length > 0).map((part) => toJson(datatype, part));
    return `${head},"data":[${elements.join()}]}`;
  }
  binary.push(...parts);
  const { bytes } = sizeOf(output);
  return `${head},"parameters":{"binary_data_size":${bytes}}}`;
}
