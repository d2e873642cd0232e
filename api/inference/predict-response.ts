// The answer of V1 of KServe and TensorFlow Serving: `predictions`, a value for each row, or `outputs`, the values of all
// rows for each output. A value has the name of its output if there are several.

import type { Model } from '../../shared/registry/models.js';
import { rowOffsets, type Tensor } from '../../shared/tensors/tensors.js';
import { formOutputs, sizeOf } from './infer-response.js';
import { checkListed, writeNested } from './json-tensor.js';
import { isOneInRow } from './predict-request.js';

/** How the answer to a request is written. */
export interface PredictForm {
  /** The names of the outputs that it has. */
  readonly outputs: readonly string[];
  readonly isColumnar: boolean;
}

/**
 * Writes the answer to a request to a model whose network the manifest declares. Yields how many numbers it has written.
 * @param items the outputs of each item
 * @throws ScorelineError `model_output_mismatch`, `result_too_large`, `tensor_invalid`
 */
export function* writePrediction(
  model: Model,
  { outputs: names, isColumnar }: PredictForm,
  items: readonly (readonly Tensor[])[],
): Generator<number, string> {
  const forms = names.map((name) => ({ name, isBinary: false, classes: 0 }));
  checkListed(formOutputs(model, { outputs: forms }, items).map(sizeOf));
  const { batch, network, predict } = model.manifest;
  const hasRows = batch.dimension === 'first';
  const chosen = network?.outputs.find(({ name }) => name === predict);
  // `predict()` of scikit-learn returns numbers where its export has lists of one.
  const areValues = chosen !== undefined && isOneInRow(chosen);
  const columns: string[][] = [];
  for (const name of names) {
    const tensors = items.flatMap((outputs) => outputs.filter((output) => output.name === name));
    const texts: string[] = [];
    for (const row of hasRows ? tensors.flatMap(rowsOf) : tensors) {
      texts.push(yield* writeNested(areValues ? { ...row, shape: [] } : row));
    }
    columns.push(texts);
  }
  if (!isColumnar) return `{"predictions":[${rowsWith(names, columns).join()}]}`;
  const whole = columns.map((texts) => (hasRows ? `[${texts.join()}]` : texts.join()));
  return `{"outputs":${named(names, whole)}}`;
}

function rowsWith(names: readonly string[], columns: readonly (readonly string[])[]): string[] {
  const [first = []] = columns;
  return first.map((_, row) =>
    named(
      names,
      columns.map((texts) => texts[row] as string),
    ),
  );
}

function named(names: readonly string[], texts: readonly string[]): string {
  if (texts.length === 1) return texts[0] as string;
  return `{${texts.map((text, at) => `${JSON.stringify(names[at])}:${text}`).join()}}`;
}

function rowsOf(tensor: Tensor): Tensor[] {
  const {
    shape: [rows = 0, ...shape],
    data,
  } = tensor;
  const offsets = rowOffsets(tensor, rows);
  return Array.from({ length: rows }, (_, row) => ({
    ...tensor,
    shape,
    data: data.subarray(offsets[row], offsets[row + 1]),
  }));
}
