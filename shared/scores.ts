// Scores over a list of classes, and how they travel: an answer with all classes of a model is most
// of what a request costs beside the model, when it is JSON on its way.

/** The best classes of one item, best first: `values[at]` is the score of the class `classes[at]`. */
export interface Scores {
  readonly classes: readonly number[];
  readonly values: readonly number[];
}

/** Base64 of a pair for each class: its index as uint32 and its score as float32, little-endian. */
export type PackedScores = string;

const pairBytes = 8;

export function packScores({ classes, values }: Scores): PackedScores {
  const bytes = Buffer.allocUnsafe(classes.length * pairBytes);
  const pairs = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < classes.length; at++) {
    pairs.setUint32(at * pairBytes, classes[at] as number, true);
    pairs.setFloat32(at * pairBytes + 4, values[at] as number, true);
  }
  return bytes.toString('base64');
}

export function unpackScores(packed: PackedScores): Scores {
  const bytes = Buffer.from(packed, 'base64');
  const pairs = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const classes: number[] = [];
  const values: number[] = [];
  for (let at = 0; at < bytes.byteLength; at += pairBytes) {
    classes.push(pairs.getUint32(at, true));
    values.push(roundScore(pairs.getFloat32(at + 4, true)));
  }
  return { classes, values };
}

/** Seven decimals: as many as a float32 near 1 has, and short to read. */
export function roundScore(score: number): number {
  return Math.round(score * 1e7) / 1e7;
}

/** What `word` makes of each class and its score, in their order. */
export function mapScores<T>(
  { classes, values }: Scores,
  word: (classIndex: number, score: number) => T,
): T[] {
  return classes.map((classIndex, at) => word(classIndex, values[at] as number));
}
