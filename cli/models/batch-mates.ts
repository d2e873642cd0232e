// Whether the answer to an input depends on the others in its batch. A network may count over the whole batch, such as
// one that was exported as it is in training, and callers would change each other's answers.

import { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { numberArrays, type Tensor, toFloats } from '../../shared/tensors/tensors.js';
import { sampleInputs } from '../../worker/batch/sample.js';
import type { LoadedScorer } from '../../worker/batch/scorer.js';

/** As a share of the largest number. Networks that quantize by the range of a batch differ by less. */
const differenceMax = 0.01;

/**
 * Scores a sample alone and beside one whose numbers are all 0. Texts have no such neighbour.
 * @throws ScorelineError `model_file_wrong` if the answers differ
 */
export async function checkBatchMates(model: Model, scorer: LoadedScorer): Promise<void> {
  const { manifest, name } = model;
  if (manifest.batch.max === 1) return;
  const inputs = sampleInputs(manifest, scorer.values.inputs);
  if (inputs.every(({ datatype }) => datatype === 'BYTES')) return;
  const neighbour = inputs.map((tensor) =>
    tensor.datatype === 'BYTES' ? tensor : { ...tensor, data: Buffer.alloc(tensor.data.length) },
  );
  const top = model.labels.length || undefined;
  const alone = await numbersOf(scorer, [inputs], top);
  const beside = await numbersOf(scorer, [inputs, neighbour], top);
  // A network may refuse zeros, such as lengths of 0. An answer may have no numbers, such as no label above a threshold.
  if (!alone || alone.length === 0 || beside?.length !== alone.length) return;
  const largest = Math.max(...alone.map(Math.abs)) || 1;
  const difference = Math.max(0, ...alone.map((value, at) => Math.abs(value - (beside[at] ?? 0))));
  if (difference <= differenceMax * largest) return;
  const share = `${((difference / largest) * 100).toPrecision(2)} %`;
  throw new ScorelineError(
    'model_file_wrong',
    `${name}: expected an answer that does not depend on the other inputs in the batch; beside another one, that to a sample differs by ${share} of its largest number. Export the network as it is after training (eval() in PyTorch), or have it score inputs one by one: batch: { max: 1 }`,
  );
}

/** Returns the numbers of the answer to the first item, of which a ranking has the scores from the best on. */
async function numbersOf(
  scorer: LoadedScorer,
  items: readonly (readonly Tensor[])[],
  top: number | undefined,
): Promise<number[] | undefined> {
  const [result] = (await scorer.score(items.map((inputs) => ({ inputs, top })))).results;
  if (!result || 'error' in result) return undefined;
  return result.outputs.flatMap(numbersIn);
}

function numbersIn(tensor: Tensor): number[] {
  const { datatype, data } = tensor;
  if (datatype === 'BYTES') return [];
  if (datatype.startsWith('FP')) return [...toFloats(tensor)];
  return Array.from(new numberArrays[datatype](Uint8Array.from(data).buffer), Number);
}
