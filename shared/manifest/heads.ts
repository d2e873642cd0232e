// The further answers of a model, as its manifest names them under `outputs`. A reply holds their tensors
// beside those of the model's own answer, under names that say to which answer they belong.

import type { Tensor } from '../tensors/tensors.js';
import { type Label, readClasses } from './labels.js';
import type { Manifest } from './manifest.js';
import { type HeadOutput, scoresClasses } from './output.js';

/** A further answer of a model. The term is that of networks with several heads. */
export interface Head {
  readonly name: string;
  readonly output: HeadOutput & { readonly tensor: string };
  /** None unless it scores classes. */
  readonly labels: readonly Label[];
}

/**
 * Reads the further answers of the model in a folder, and their labels.
 * @throws ScorelineError `manifest_invalid`, as `readLabels`
 */
export function readHeads(folder: string, manifest: Manifest): Head[] {
  return Object.entries(manifest.outputs).map(([name, given]) => {
    const output = { ...given, tensor: given.tensor ?? name };
    const labels = scoresClasses(output)
      ? readClasses(folder, manifest, { key: `outputs.${name}`, output })
      : [];
    return { name, output, labels };
  });
}

const prefixOf = ({ name }: Pick<Head, 'name'>): string => `outputs:${name}:`;
const anyPrefix = /^outputs:[^:]+:/;

/** Names the tensors of a further answer for the reply. */
export function addHead(head: Pick<Head, 'name'>, tensors: readonly Tensor[]): Tensor[] {
  return tensors.map((tensor) => ({ ...tensor, name: prefixOf(head) + tensor.name }));
}

/** Returns the tensors of a further answer in a reply, under their own names. */
export function tensorsOfHead(head: Pick<Head, 'name'>, reply: readonly Tensor[]): Tensor[] {
  const prefix = prefixOf(head);
  return reply
    .filter(({ name }) => name.startsWith(prefix))
    .map((tensor) => ({ ...tensor, name: tensor.name.slice(prefix.length) }));
}

/** Returns the tensors of a reply that belong to the model's own answer. */
export function ownTensors(reply: readonly Tensor[]): readonly Tensor[] {
  return reply.filter(({ name }) => !anyPrefix.test(name));
}
