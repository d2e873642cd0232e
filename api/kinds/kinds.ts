// The table of input kinds and output kinds. Each kind has its own file.

import type { Manifest } from '../../shared/manifest.js';
import { classification } from './classification.js';
import { type ImageLimits, makeImageKind } from './image.js';
import type { InputKind, OutputKind } from './kind.js';
import { ranking } from './ranking.js';
import { text } from './text.js';

export type InputKinds = Record<Manifest['input']['kind'], InputKind>;

export function makeInputKinds(limits: ImageLimits): InputKinds {
  return { text, image: makeImageKind(limits) };
}

export const outputKinds: Record<Manifest['output']['kind'], OutputKind> = {
  ranking,
  classification,
};
