// Scores over a list of classes, and how they travel: an answer with all classes of a model is most
// of what a request costs beside the model, when it is JSON or objects on its way.

/**
 * The best classes of one item with their scores, best first: a pair for each, the class as uint32 and
 * the score as float32, little-endian.
 */
export type PackedScores = Uint8Array;

const pairBytes = 8;

/** Packs classes in the order given; the score of a class stands at its index in `scores`. */
export function packScores(
  classes: ArrayLike<number>,
  scores: Readonly<Record<number, number>>,
): PackedScores {
  const bytes = Buffer.allocUnsafe(classes.length * pairBytes);
  const pairs = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < classes.length; at++) {
    const classIndex = classes[at] as number;
    pairs.setUint32(at * pairBytes, classIndex, true);
    pairs.setFloat32(at * pairBytes + 4, scores[classIndex] as number, true);
  }
  return bytes;
}

/** Calls `visit` for each class with its score, in their order. */
export function eachScore(
  packed: PackedScores,
  visit: (classIndex: number, score: number) => void,
): void {
  const pairs = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < packed.byteLength; at += pairBytes) {
    visit(pairs.getUint32(at, true), roundScore(pairs.getFloat32(at + 4, true)));
  }
}

/** What `word` makes of each class and its score, in their order. */
export function mapScores<T>(
  packed: PackedScores,
  word: (classIndex: number, score: number) => T,
): T[] {
  const words: T[] = [];
  eachScore(packed, (classIndex, score) => {
    words.push(word(classIndex, score));
  });
  return words;
}

/** Seven decimals: as many as a float32 near 1 has, and short to read. */
function roundScore(score: number): number {
  return Math.round(score * 1e7) / 1e7;
}
