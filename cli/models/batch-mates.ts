// Whether the answer to an input depends on the others in its batch. A network may count over the whole batch, such as
// one that was exported as it is in training, or answer with the places of inputs in it, as NonMaxSuppression does.
// Callers would change each other's answers.

import { isDeepStrictEqual } from 'node:util';
import { ScorelineError } from '../../shared/errors.js';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import { ownTensors, tensorsOfHead } from '../../shared/manifest/heads.js';
import type { Manifest } from '../../shared/manifest/manifest.js';
import { scoresClasses } from '../../shared/manifest/output.js';
import type { Column } from '../../shared/manifest/table.js';
import type { Model } from '../../shared/registry/models.js';
import { eachScore } from '../../shared/tensors/scores.js';
import { numberArrays, type Tensor, toFloats } from '../../shared/tensors/tensors.js';
import { exampleOrSample, sampleInputs, textInputs } from '../../worker/batch/inputs/sample.js';
import type { LoadedScorer, Scored } from '../../worker/batch/scorer.js';
import { wrongFile } from '../faults.js';

/** As a share of the largest number. A transformer of 8 bits, with one scale for all texts of a batch, differed by 0.09 to 0.15. */
const differenceMax = 0.01;

/** Far beyond what a model was trained on, as a caller may send it. One scale for a batch then has no steps left for the rest. */
const farOut = 1e6;

/** Many words of many kinds: in a transformer or an LSTM, some of them reach numbers that a single sentence does not. */
const manyWords =
  'Why does my card payment of 1,250.99 USD fail? She sang, danced and laughed; the old red engine never stopped. ' +
  'function add(a, b) { return a + b; } Not good at all! Doctors in Paris measured 37 degrees on 24 July 2019. ' +
  'Please help: error 404, https://example.org/a?b=c, "quotes" (and brackets) – über, naïve, 日本語, привет 👍 ' +
  'terrible wonderful cheap broken love hate war music football president quantum banana zebra xylophone qqq';

/**
 * Scores samples alone and behind others.
 * @throws ScorelineError `model_file_wrong` if the answers differ, and `model_output_mismatch` if they are not one for
 * each input
 */
export async function checkBatchMates(model: Model, scorer: LoadedScorer): Promise<void> {
  const { manifest } = model;
  if (manifest.batch.max === 1) return;
  for (const [inputs, mate] of pairsOf(manifest, scorer.values.inputs)) {
    if (isDeepStrictEqual(inputs, mate)) continue;
    const alone = await answersOf(model, scorer, [inputs]);
    const beside = await answersOf(model, scorer, [mate, inputs]);
    // A network may refuse zeros, such as lengths of 0.
    if (alone && beside) compare(model, alone, beside);
  }
}

function compare({ name }: Model, alone: readonly Numbers[], beside: readonly Numbers[]): void {
  const difference = Math.max(0, ...alone.map((each, at) => differenceOf(each, beside[at])));
  if (difference <= differenceMax) return;
  const share = `${Number((difference * 100).toPrecision(2))} %`;
  throw wrongFile(
    `${name}: expected an answer that does not depend on the other inputs in the batch; beside another one, that to a sample differs by ${share} of its largest number. Export the network as it is after training (eval() in PyTorch), or have it score inputs one by one: batch: { max: 1 }`,
  );
}

/**
 * Makes samples with others: a text and one that is longer, so that the first one is padded, and one of many words; an
 * image of noise and a black one, which may answer with larger numbers or smaller ones; a row and one of other
 * categories and zeros, and one of numbers far out.
 */
function pairsOf(
  manifest: Manifest,
  values: LoadedScorer['values']['inputs'],
): (readonly [readonly Tensor[], readonly Tensor[]])[] {
  const { engine, input, description } = manifest;
  const sample = exampleOrSample(manifest, values);
  if (input.kind === 'text') {
    const text = scoresExampleOf(manifest)?.input ?? description;
    const longer = `${text} 0 and then some other words`;
    return [longer, manyWords].map((other) => [sample, textInputs(other)]);
  }
  if (input.kind === 'image') {
    const black = sample.map(zerosOf);
    return [
      [sample, black],
      [black, sample],
    ];
  }
  const columns = input.kind === 'table' && input.columns.map(reversed);
  const others = columns
    ? sampleInputs({ input: { ...input, columns }, description, example: undefined }, values)
    : sample;
  // A Python program may count its steps by a number.
  const far = engine === 'onnx' ? [sample.map(farFrom)] : [];
  return [others.map(zerosOf), ...far].map((mate) => [sample, mate]);
}

function zerosOf(tensor: Tensor): Tensor {
  if (tensor.datatype === 'BYTES') return tensor;
  return { ...tensor, data: Buffer.alloc(tensor.data.length) };
}

/** Whole numbers stay: they may be places in a table of the network, or sizes. */
function farFrom(tensor: Tensor): Tensor {
  if (tensor.datatype !== 'FP32' && tensor.datatype !== 'FP64') return tensor;
  const array = new numberArrays[tensor.datatype](Uint8Array.from(tensor.data).buffer);
  return { ...tensor, data: new Uint8Array(array.map((number) => number * farOut).buffer) };
}

function reversed(column: Column): Column {
  return { ...column, categories: column.categories?.toReversed() } as Column;
}

/** The numbers of an answer: scores by their classes, with gaps, others by their places. */
type Numbers = ArrayLike<number | undefined> & {
  /** Whether they count something. Then one is another already: the place of an input is small beside those of boxes. */
  readonly areCounts?: boolean;
};

/**
 * Returns the largest difference, as a share of the largest number, or of 1 for counts. An answer may have other classes
 * than its best.
 */
function differenceOf(alone: Numbers, beside: Numbers = []): number {
  let [largest, difference] = [0, 0];
  for (let at = 0; at < alone.length; at++) {
    const value = alone[at];
    const other = beside[at] ?? value;
    if (value === undefined || other === undefined) continue;
    if (Number.isFinite(value) && !alone.areCounts) largest = Math.max(largest, Math.abs(value));
    if (Object.is(value, other)) continue;
    const between = Math.abs(value - other);
    difference = Math.max(difference, Number.isNaN(between) ? Number.POSITIVE_INFINITY : between);
  }
  return difference / (largest || 1);
}

/** Returns the answers to the last item: those of the model, and its further ones. */
async function answersOf(
  model: Model,
  scorer: LoadedScorer,
  items: readonly (readonly Tensor[])[],
): Promise<Numbers[] | undefined> {
  // Without one, the outputs of the network are answered as they are.
  const top = model.labels.length || (model.heads.length > 0 ? 1 : undefined);
  const { results } = await scorer.score(items.map((inputs) => ({ inputs, top })));
  if (isReal(model.manifest)) for (const each of results) checkRows(model, each);
  const result = results.at(-1);
  if (!result || 'error' in result) return undefined;
  const own = { output: model.manifest.output, tensors: ownTensors(result.outputs) };
  const further = model.heads.map((head) => ({
    output: head.output,
    tensors: tensorsOfHead(head, result.outputs),
  }));
  return [own, ...further].flatMap(({ output, tensors }) =>
    scoresClasses(output) ? [scoresIn(tensors)] : tensors.map(numbersIn),
  );
}

/** Whether any noise and any words are an input that a network must take. */
function isReal({ input: { kind } }: Manifest): boolean {
  return kind === 'image' || kind === 'text';
}

/** In a batch, two rows of one input and none of the next would be taken for one of each. */
function checkRows({ name }: Model, result: Scored): void {
  if (!('error' in result) || result.error.code !== 'model_output_mismatch') return;
  throw new ScorelineError(
    result.error.code,
    `${name}: expected an answer to each input, also to one that is made up. ${result.error.detail}`,
  );
}

function scoresIn(tensors: readonly Tensor[]): Numbers {
  const scores: number[] = [];
  eachScore(tensors, (index, score) => {
    scores[index] = score;
  });
  return scores;
}

function numbersIn(tensor: Tensor): Numbers {
  const { datatype, data } = tensor;
  if (datatype === 'BYTES') return [];
  if (datatype.startsWith('FP')) return toFloats(tensor);
  const numbers = Array.from(new numberArrays[datatype](Uint8Array.from(data).buffer), Number);
  return Object.assign(numbers, { areCounts: datatype === 'INT64' });
}
