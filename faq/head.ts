// The graph of an FAQ: that of the embeddings, and behind it what makes probabilities of them (ranker.ts).
//
// The names of its own begin with faq/, so none is that of another part.
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
  const weighted = node(
    'Mul',
    ['faq/nearness', 'faq/nearness weight'],
    classifier ? 'faq/weighted' : 'faq/logits',
  );
  const part = {
    nodes: [...near.nodes, weighted],
    constants: [...near.constants, scalar('faq/nearness weight', nearness)],
  };
  if (!classifier) return part;
  const { dimension } = members;
  const scaled = transpose(classifier.vectors, dimension).map((value) => value * decision);
  const offsets = classifier.offsets.map((value) => value * decision);
  return {
    nodes: [
      ...part.nodes,
      node('MatMul', ['embedding', 'faq/classifier'], 'faq/products'),
      node('Add', ['faq/products', 'faq/offsets'], 'faq/decisions'),
      node('Add', ['faq/weighted', 'faq/decisions'], 'faq/logits'),
    ],
    constants: [
      ...part.constants,
      floats('faq/classifier', [dimension, questions], scaled),
      floats('faq/offsets', [questions], offsets),
    ],
  };
}

/** Adds up members of the same question: a matrix of all members and questions would be mostly zeros. */
function nearnessPart({ dimension, vectors, questions: owners }: Members, questions: number): Part {
  const counts = new Float32Array(questions);
  for (const owner of owners) counts[owner] = (counts[owner] as number) + 1;
  return {
    nodes: [
      node('MatMul', ['embedding', 'faq/members'], 'faq/cosines'),
      node('Mul', ['faq/cosines', 'faq/nearness factor'], 'faq/exponents'),
      node('Exp', ['faq/exponents'], 'faq/near'),
      node('Shape', ['faq/cosines'], 'faq/size'),
      node('Expand', ['faq/owners', 'faq/size'], 'faq/columns'),
      node('Shape', ['embedding'], 'faq/embedded size'),
      node('Slice', ['faq/embedded size', 'faq/first', 'faq/second'], 'faq/rows'),
      node('Concat', ['faq/rows', 'faq/questions'], 'faq/zeros size', [
        integerAttribute('axis', 0),
      ]),
      node('Expand', ['faq/zero', 'faq/zeros size'], 'faq/zeros'),
      node('ScatterElements', ['faq/zeros', 'faq/columns', 'faq/near'], 'faq/sums', [
        integerAttribute('axis', 1),
        textAttribute('reduction', 'add'),
      ]),
      node('Div', ['faq/sums', 'faq/counts'], 'faq/means'),
      node('Log', ['faq/means'], 'faq/nearness'),
    ],
    constants: [
      floats('faq/members', [dimension, owners.length], transpose(vectors, dimension)),
      scalar('faq/nearness factor', nearnessFactor),
      integers('faq/owners', [1, owners.length], owners),
      integers('faq/first', [1], [0]),
      integers('faq/second', [1], [1]),
      integers('faq/questions', [1], [questions]),
      floats('faq/zero', [1, 1], new Float32Array(1)),
      floats('faq/counts', [questions], counts),
    ],
  };
}

/** Makes probabilities of the logits and of that of "none of these", which is left out of the outputs. */
function endingPart({ classifier, threshold }: Head): Part {
  return {
    nodes: [
      node('Concat', ['faq/rows', 'faq/second'], 'faq/none size', [integerAttribute('axis', 0)]),
      node('Expand', ['faq/none', 'faq/none size'], 'faq/none column'),
      node('Concat', ['faq/logits', 'faq/none column'], 'faq/all logits', [
        integerAttribute('axis', 1),
      ]),
      node('Softmax', ['faq/all logits'], 'faq/all probabilities'),
      node(
        'Slice',
        ['faq/all probabilities', 'faq/first', 'faq/questions', 'faq/second'],
        'probabilities',
      ),
      node('ReduceMax', ['probabilities'], 'faq/best', [
        integersAttribute('axes', [1]),
        integerAttribute('keepdims', 0),
      ]),
      node('Sub', ['faq/best', 'faq/threshold'], 'faq/above'),
      node('Relu', ['faq/above'], 'known'),
    ],
    constants: [
      floats('faq/none', [1, 1], Float32Array.of(noneLogit(classifier !== undefined))),
      scalar('faq/threshold', threshold),
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
