// The graph of an FAQ: that of the embeddings, and behind it what makes probabilities of them (ranker.ts).
//
//   probabilities  float32 [N, questions]
//   known          float32 [N]   how far the best probability is above the threshold; 0 if it is below: none of these

import type { Classifier } from './classifier.js';
import type { Members } from './members.js';
import {
  type Addition,
  extendGraph,
  floatOutput,
  floats,
  integerAttribute,
  integers,
  integersAttribute,
  node,
  textAttribute,
} from './onnx-writer.js';
import { nearnessFactor, noneLogit, weights } from './ranker.js';

export interface Head {
  readonly members: Members;
  readonly questions: number;
  readonly classifier: Classifier | undefined;
  /** The probability of the best question below which a text is none of them. */
  readonly threshold: number;
}

/**
 * Returns the graph in a file with the head behind it.
 * @param file an ONNX file with the output `embedding`
 */
export function makeGraph(file: string, head: Head): Buffer {
  const ending = endingPart(head);
  const logits = logitsPart(head);
  return extendGraph(file, {
    nodes: [...logits.nodes, ...ending.nodes],
    constants: [...logits.constants, ...ending.constants],
    outputs: [floatOutput('probabilities', ['N', head.questions]), floatOutput('known', ['N'])],
  });
}

type Part = Pick<Addition, 'nodes' | 'constants'>;

function logitsPart({ members, questions, classifier }: Head): Part {
  const { nearness, decision } = classifier ? weights.trained : weights.untrained;
  const near = nearnessPart(members, questions);
  const weighted = node('Mul', ['nearness', 'nearness weight'], classifier ? 'weighted' : 'logits');
  const part = {
    nodes: [...near.nodes, weighted],
    constants: [...near.constants, scalar('nearness weight', nearness)],
  };
  if (!classifier) return part;
  const { dimension } = members;
  const scaled = transpose(classifier.vectors, dimension).map((value) => value * decision);
  const offsets = classifier.offsets.map((value) => value * decision);
  return {
    nodes: [
      ...part.nodes,
      node('MatMul', ['embedding', 'classifier'], 'products'),
      node('Add', ['products', 'offsets'], 'decisions'),
      node('Add', ['weighted', 'decisions'], 'logits'),
    ],
    constants: [
      ...part.constants,
      floats('classifier', [dimension, questions], scaled),
      floats('offsets', [questions], offsets),
    ],
  };
}

/** Adds up members of the same question: a matrix of all members and questions would be mostly zeros. */
function nearnessPart({ dimension, vectors, questions: owners }: Members, questions: number): Part {
  const counts = new Float32Array(questions);
  for (const owner of owners) counts[owner] = (counts[owner] as number) + 1;
  return {
    nodes: [
      node('MatMul', ['embedding', 'members'], 'cosines'),
      node('Mul', ['cosines', 'nearness factor'], 'exponents'),
      node('Exp', ['exponents'], 'near'),
      node('Shape', ['cosines'], 'size'),
      node('Expand', ['owners', 'size'], 'columns'),
      node('Shape', ['embedding'], 'embedded size'),
      node('Slice', ['embedded size', 'first', 'second'], 'rows'),
      node('Concat', ['rows', 'questions'], 'zeros size', [integerAttribute('axis', 0)]),
      node('Expand', ['zero', 'zeros size'], 'zeros'),
      node('ScatterElements', ['zeros', 'columns', 'near'], 'sums', [
        integerAttribute('axis', 1),
        textAttribute('reduction', 'add'),
      ]),
      node('Div', ['sums', 'counts'], 'means'),
      node('Log', ['means'], 'nearness'),
    ],
    constants: [
      floats('members', [dimension, owners.length], transpose(vectors, dimension)),
      scalar('nearness factor', nearnessFactor),
      integers('owners', [1, owners.length], owners),
      integers('first', [1], [0]),
      integers('second', [1], [1]),
      integers('questions', [1], [questions]),
      floats('zero', [1, 1], new Float32Array(1)),
      floats('counts', [questions], counts),
    ],
  };
}

/** Makes probabilities of the logits and of that of "none of these", which is left out of the outputs. */
function endingPart({ classifier, threshold }: Head): Part {
  return {
    nodes: [
      node('Concat', ['rows', 'second'], 'none size', [integerAttribute('axis', 0)]),
      node('Expand', ['none', 'none size'], 'none column'),
      node('Concat', ['logits', 'none column'], 'all logits', [integerAttribute('axis', 1)]),
      node('Softmax', ['all logits'], 'all probabilities'),
      node('Slice', ['all probabilities', 'first', 'questions', 'second'], 'probabilities'),
      node('ReduceMax', ['probabilities'], 'best', [
        integersAttribute('axes', [1]),
        integerAttribute('keepdims', 0),
      ]),
      node('Sub', ['best', 'threshold'], 'above'),
      node('Relu', ['above'], 'known'),
    ],
    constants: [
      floats('none', [1, 1], Float32Array.of(noneLogit(classifier !== undefined))),
      scalar('threshold', threshold),
    ],
  };
}

function scalar(name: string, number: number): Buffer {
  return floats(name, [], Float32Array.of(number));
}

/** Vectors one after the other become the columns of a matrix. */
function transpose(vectors: Float32Array, dimension: number): Float32Array {
  const columns = vectors.length / dimension;
  const matrix = new Float32Array(vectors.length);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < dimension; row++) {
      matrix[row * columns + column] = vectors[column * dimension + row] as number;
    }
  }
  return matrix;
}
