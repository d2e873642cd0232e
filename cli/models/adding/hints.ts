// What is known of a network that is added, beside its inputs and outputs.

import type { Companions } from './companions.js';
import type { Preparation } from './preparing/preparation.js';
import type { Section, Settings } from './settings.js';

export const kinds = ['text', 'image', 'table', 'tensors'] as const;
export type Kind = (typeof kinds)[number];

/** A column of a table, as the manifest has it. */
export type Column = Section & { readonly name: string };

/** What was guessed, and why: a word for what, and a sentence. */
export type Remarks = readonly (readonly [what: string, why: string])[];

/** Sections of the manifest that an exporter has left in the file. */
export interface Told {
  readonly input: Section & { readonly kind: Kind };
  readonly output?: Section;
  /** An input with the answer of the original. */
  readonly example?: Section;
}

export interface Hints {
  /** The kind that the user named. */
  readonly wanted?: Kind | undefined;
  readonly told?: Told | undefined;
  readonly companions: Companions;
  /** What the user has set, which is laid over what is guessed. */
  readonly settings: Settings;
  /** Whether the network puts its scores into maps, as skl2onnx does by default. */
  readonly hasMaps: boolean;
  /** The program that has written the ONNX file, as the file says. */
  readonly producer: string | undefined;
  /** What the network's file, or one beside it, says of its pictures. */
  readonly preparation: Preparation | undefined;
  /** Whether the user gave labels. */
  readonly hasLabels: boolean;
  /** The names of the columns, which the user gave. */
  readonly columns?: readonly string[] | undefined;
}

/** Whether a value of a section is the columns of a table. */
export function isColumns(value: unknown): value is readonly Column[] {
  return Array.isArray(value);
}
