// Trains a linear support vector machine for each question, over the embeddings of its texts: the solver of
// LIBLINEAR (Hsieh et al., "A Dual Coordinate Descent Method for Large-scale Linear SVM", 2008, squared hinge loss),
// without chance, so the same texts give the same classifier.

import { type Members, product } from './members.js';

export interface Classifier {
  /** A vector for each question, one after the other. */
  readonly vectors: Float32Array;
  readonly offsets: Float32Array;
}

const regularisation = 0.5;
const passesMax = 30;
const tolerance = 0.03;

export function trainClassifier(members: Members, questions: number): Classifier {
  const { dimension } = members;
  const vectors = new Float32Array(questions * dimension);
  const offsets = new Float32Array(questions);
  for (let question = 0; question < questions; question++) {
    const vector = vectors.subarray(question * dimension, (question + 1) * dimension);
    offsets[question] = separate(members, question, vector);
  }
  return { vectors, offsets };
}

/** Finds the plane between the texts of a question and all others. Returns its offset. */
function separate(members: Members, question: number, vector: Float32Array): number {
  const { dimension, vectors, questions } = members;
  const slack = 1 / (2 * regularisation);
  const alphas = new Float64Array(questions.length);
  const order = scatter(questions.length);
  let offset = 0;
  for (let pass = 0; pass < passesMax; pass++) {
    let largest = 0;
    for (const at of order) {
      const sign = questions[at] === question ? 1 : -1;
      const alpha = alphas[at] as number;
      const decision = product(vector, vectors, at * dimension) + offset;
      const gradient = sign * decision - 1 + slack * alpha;
      if (alpha === 0 && gradient >= 0) continue;
      largest = Math.max(largest, Math.abs(gradient));
      // The embeddings have length 1, and the offset counts as one more number, 1.
      const next = Math.max(alpha - gradient / (2 + slack), 0);
      const step = (next - alpha) * sign;
      alphas[at] = next;
      offset += step;
      for (let place = 0; place < dimension; place++) {
        vector[place] =
          (vector[place] as number) + step * (vectors[at * dimension + place] as number);
      }
    }
    if (largest < tolerance) break;
  }
  return offset;
}

/** Returns all places, neighbours far apart: texts of the same question one after the other converge slowly. */
function scatter(count: number): number[] {
  const goldenRatio = 0.618033988749895;
  const keyOf = (at: number) => (at * goldenRatio) % 1;
  return [...new Array(count).keys()].sort((a, b) => keyOf(a) - keyOf(b));
}
