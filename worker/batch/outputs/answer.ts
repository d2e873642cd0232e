// The answer that a manifest describes: the model's own, and its further ones. Each takes what it needs of
// the outputs of a batch.

import { addHead, type Head } from '../../../shared/manifest/heads.js';
import { jsonName, scoresClasses, topOf } from '../../../shared/manifest/output.js';
import type { Model } from '../../../shared/registry/models.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { Item } from '../../../shared/wire/job.js';
import type { TensorValue } from '../../engine/engine.js';
import { makeRanking } from './ranking.js';
import { findNumber, findTensor, findTexts } from './score-output.js';
import { split } from './split.js';

type Wish = Pick<Item, 'top'>;

export interface Answer {
  /** The names of the outputs that it needs. */
  readonly names: readonly string[];
  /**
   * Divides the outputs of a batch among the items that want an answer. A share is undefined if the item does
   * not, or if one of its scores is not a finite number.
   * @throws ScorelineError `model_output_mismatch`
   */
  share(
    outputs: ReadonlyMap<string, Tensor>,
    wishes: readonly Wish[],
    rows: readonly number[],
  ): (readonly Tensor[] | undefined)[];
  /** Returns the network's scores of a batch, before the activation; undefined if it has none. */
  scoresOf(outputs: readonly Tensor[]): Float32Array | undefined;
}

/**
 * Makes the answer of a model. A model that answers with a number or with tensors, and with nothing else, needs
 * none: its callers want outputs.
 * @throws ScorelineError `model_file_wrong` if the network lacks an output that the manifest names
 */
export function makeAnswer(
  model: Model,
  values: readonly TensorValue[],
  tensorNames: readonly string[],
): Answer | undefined {
  const { name, manifest, labels, heads } = model;
  const { output } = manifest;
  const place = { model: name, key: 'output' };
  const number =
    output.kind === 'regression' ? findNumber(place, output.tensor, values) : undefined;
  const ranking = scoresClasses(output)
    ? makeRanking({ ...place, output, labels }, values)
    : undefined;
  if (heads.length === 0) return ranking;
  const json =
    output.kind === 'json' ? findTexts(place, output.tensor ?? jsonName, values) : undefined;
  const only = number ?? json;
  const own = ranking ?? makePlain(only === undefined ? tensorNames : [only]);
  return join(
    own,
    heads.map((head) => makeHead(name, head, values)),
  );
}

/** Finds the outputs that are to have one number for each row: those of the regressions. */
export function findNumbers(
  { name: model, manifest: { output }, heads }: Model,
  values: readonly TensorValue[],
): string[] {
  const own = { key: 'output', output };
  const further = heads.map((head) => ({ key: `outputs.${head.name}`, output: head.output }));
  return [own, ...further].flatMap((each) =>
    each.output.kind === 'regression'
      ? [findNumber({ model, key: each.key }, each.output.tensor, values)]
      : [],
  );
}

function makePlain(names: readonly string[]): Answer {
  return {
    names,
    scoresOf: () => undefined,
    share(outputs, wishes, rows) {
      const parts = names.map((name) => split(outputs.get(name) as Tensor, rows));
      return wishes.map(({ top }, at) =>
        top === undefined ? undefined : parts.map((part) => part[at] as Tensor),
      );
    },
  };
}

function makeHead(model: string, head: Head, values: readonly TensorValue[]): Answer {
  const { output, labels } = head;
  const answer = makeUnnamed(model, head, values);
  const top = scoresClasses(output) ? topOf(output, labels.length) : 1;
  return {
    ...answer,
    share(outputs, wishes, rows) {
      const own = wishes.map((wish) => (wish.top === undefined ? wish : { top }));
      return answer.share(outputs, own, rows).map((tensors) => tensors && addHead(head, tensors));
    },
  };
}

function makeUnnamed(
  model: string,
  { name, output, labels }: Head,
  values: readonly TensorValue[],
): Answer {
  const place = { model, key: `outputs.${name}` };
  if (scoresClasses(output)) return makeRanking({ ...place, output, labels }, values);
  if (output.kind === 'regression') return makePlain([findNumber(place, output.tensor, values)]);
  if (output.kind === 'json') return makePlain([findTexts(place, output.tensor, values)]);
  return makePlain([findTensor(place, output.tensor, values).name]);
}

function join(own: Answer, heads: readonly Answer[]): Answer {
  const answers = [own, ...heads];
  return {
    names: [...new Set(answers.flatMap(({ names }) => names))],
    scoresOf: own.scoresOf,
    share(outputs, wishes, rows) {
      const shares = answers.map((answer) => answer.share(outputs, wishes, rows));
      return wishes.map((_, at) => {
        const parts = shares.map((share) => share[at]);
        return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
      });
    },
  };
}
