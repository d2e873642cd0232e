// Finds the boxes that a detector answers with among the outputs of a network.

import { isFloats, isOpen } from '../../../shared/tensors/network.js';
import type { TensorValue, Values } from '../../../worker/engine/engine.js';
import type { Hints } from './hints.js';
import { sectionOf } from './settings.js';

/** Boxes in a picture, as a detector finds them. */
export interface Boxes {
  readonly name: string;
  /** Whether they are those of one picture, and as many as it has. */
  readonly areOfOne: boolean;
  /** Whether their scores are in the same output. */
  readonly haveScores: boolean;
}

const boxesName = /box|det/i;

/** Finds the boxes among the outputs: four numbers each, beside their scores or beside outputs with as many scores or labels. */
export function findBoxes({ inputs, outputs }: Values, hints: Hints): Boxes | undefined {
  const { kind = 'tensors', tensor } = sectionOf(hints.settings, 'output');
  if (hints.hasLabels || kind !== 'tensors' || tensor !== undefined) return undefined;
  const rows = inputs[0]?.shape[0];
  for (const boxes of outputs) {
    const { name, shape } = boxes;
    const count = shape.at(-2);
    const areOfOne = shape.length === 2;
    if (shape.at(-1) !== 4 || shape.length > 3 || (areOfOne && count === rows)) continue;
    // Of many pictures at once, these are four scores of each, whose rows some exporters name otherwise than the pictures.
    if (areOfOne && isOpen(rows) && !boxesName.test(name)) continue;
    const isBeside = ({ shape: other }: TensorValue) =>
      other.length === shape.length - 1 && other.at(-1) === count;
    const others = outputs.filter((output) => output !== boxes);
    if (others.some(isBeside)) return { name, areOfOne, haveScores: false };
  }
  return findJoined(outputs, hints);
}

/** The fewest boxes that a network looks at: YOLO has 2,100 for a picture of 320 × 320. */
const joinedMin = 2000;
/** Four numbers and a score, and more scores, masks or points. */
const numbersOfOne = { min: 5, max: 500 };

/**
 * Finds the boxes of a network that answers with one output first, as YOLO does: [N,84,8400] with all that it looks at, or
 * [N,300,6] with those that are left. A network of layers has far fewer vectors, which are longer.
 */
function findJoined([first]: readonly TensorValue[], { preparation }: Hints): Boxes | undefined {
  if (first?.shape.length !== 3 || !isFloats(first)) return undefined;
  const sizes = first.shape.slice(1).map(Number);
  const [less, more] = [Math.min(...sizes), Math.max(...sizes)];
  const areAll = less >= numbersOfOne.min && less <= numbersOfOne.max && more >= joinedMin;
  const areLeft = sizes[1] === 6;
  if (!preparation?.findsThings && !areAll && !areLeft) return undefined;
  return { name: first.name, areOfOne: false, haveScores: true };
}
