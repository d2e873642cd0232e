// Ranks the outputs of a batch: finds the scores, and what the network says of unknown inputs.

import { type Tensor, toFloats } from '../../../shared/tensors/tensors.js';
import type { Item } from '../../../shared/wire/job.js';
import type { TensorValue } from '../../engine/engine.js';
import { makeKnown } from './known.js';
import { checkScores, makeRank } from './rank.js';
import { type Classes, findScores } from './score-output.js';
import { sum } from './split.js';

/**
 * Makes an answer of ranked classes (answer.ts).
 * @throws ScorelineError `model_file_wrong` if the network lacks an output that it needs
 */
export function makeRanking(classes: Classes, values: readonly TensorValue[]) {
  const known = makeKnown(classes, values);
  const { name: scoresName, isBinary } = findScores(classes, values);
  const width = isBinary ? 1 : classes.labels.length;
  const rank = makeRank({ ...classes.output, classes: classes.labels.length, isBinary });

  return {
    names: known ? [scoresName, known.name] : [scoresName],
    scoresOf: (outputs: readonly Tensor[]) =>
      toFloats(outputs.find(({ name }) => name === scoresName) as Tensor),
    share(
      outputs: ReadonlyMap<string, Tensor>,
      wishes: readonly Pick<Item, 'top'>[],
      rows: readonly number[],
    ): (readonly Tensor[] | undefined)[] {
      const scores = outputs.get(scoresName) as Tensor;
      checkScores(scores, { rows: sum(rows), classes: width });
      const floats = toFloats(scores);
      const knownParts = known?.share(outputs.get(known.name) as Tensor, rows);
      let at = 0;
      return wishes.map(({ top }, index) => {
        const from = at;
        at += (rows[index] as number) * width;
        if (top === undefined) return undefined;
        const ranked = rank(floats.subarray(from, at), top);
        const part = knownParts?.[index];
        return ranked && part ? [...ranked, part] : ranked;
      });
    },
  };
}
