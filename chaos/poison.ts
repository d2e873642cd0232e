// Poison: inputs that make a model misbehave. The harness sends them; chaos/fault.ts, which is
// loaded into the workers, knows them again in the tensor that a model is run with.
//
// A poisonous text begins with a skull and the kind. A poisonous picture is all of one colour.

export const poisonKinds = ['crash', 'throw', 'hang'] as const;
export type PoisonKind = (typeof poisonKinds)[number];

/** What a poison's request must end with: status 500 and this code. */
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

/** The poison in a tensor, if there is any. Pictures are [N, height, width, 3] of 8 bits. */
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
    // The first pixel, the one in the middle, and the last.
    const places = [start, start + Math.floor(bytes / 6) * 3, start + bytes - 3];
    const kind = poisonKinds.find((candidate) => {
      const { r, g, b } = poisonColour(candidate);
      return places.every((at) => pixels[at] === r && pixels[at + 1] === g && pixels[at + 2] === b);
    });
    if (kind) return kind;
  }
  return undefined;
}
