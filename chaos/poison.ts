// Poison: inputs that make a model misbehave. The harness sends them. The workers load
// chaos/fault.ts, which recognises them in the input tensor of a model run.
//
// A poisonous text begins with a skull and the kind. A poisonous picture has one colour throughout.

export const poisonKinds = ['crash', 'throw', 'hang'] as const;
export type PoisonKind = (typeof poisonKinds)[number];

/** A poisonous request must end with status 500 and this code. */
export const poisonCodes: Record<PoisonKind, string> = {
  crash: 'model_crashed',
  throw: 'model_failed',
  hang: 'model_crashed',
};

export function poisonText(kind: PoisonKind, tag: string): string {
  return `☠ ${kind} ${tag}`;
}

export function poisonColour(kind: PoisonKind): { r: number; g: number; b: number } {
  return { r: 253, g: 1, b: 77 + poisonKinds.indexOf(kind) };
}

/**
 * Returns the first poison in a tensor, if any. Expects pictures as [N, height, width, 3], uint8.
 */
export function findPoison(tensor: {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}): PoisonKind | undefined {
  if (tensor.type === 'string') return findInTexts(tensor.data as string[]);
  if (tensor.type === 'uint8') return findInPixels(tensor.data as Uint8Array, tensor.dims);
  return undefined;
}

function findInTexts(texts: readonly string[]): PoisonKind | undefined {
  for (const text of texts) {
    const kind = poisonKinds.find((candidate) => text.startsWith(`☠ ${candidate} `));
    if (kind) return kind;
  }
  return undefined;
}

function findInPixels(pixels: Uint8Array, dims: readonly number[]): PoisonKind | undefined {
  const [pictures = 0, ...size] = dims;
  const bytes = size.reduce((product, length) => product * length, 1);
  for (let picture = 0; picture < pictures; picture++) {
    const start = picture * bytes;
    // Look at the first pixel, the middle one and the last one.
    const places = [start, start + Math.floor(bytes / 6) * 3, start + bytes - 3];
    const kind = poisonKinds.find((candidate) => {
      const { r, g, b } = poisonColour(candidate);
      return places.every((at) => pixels[at] === r && pixels[at + 1] === g && pixels[at + 2] === b);
    });
    if (kind) return kind;
  }
  return undefined;
}
