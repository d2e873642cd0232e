// Writes the manifest of a model that is added, with a comment for each guess that its owner should look at.

import path from 'node:path';
import { isFloats } from '../../../shared/tensors/network.js';
import { declareNetwork } from '../../../worker/batch/network/declared.js';
import type { Values } from '../../../worker/engine/engine.js';
import type { Guess } from '../guess.js';
import { merge, type Section, type Settings, sectionOf, setsPixels } from './settings.js';

export interface Draft {
  readonly name: string;
  readonly description: string | undefined;
  /** What the user named. */
  readonly file: string;
  readonly guess: Guess;
  /** What clients see of the network. */
  readonly values: Values;
  readonly source: Section;
  readonly settings: Settings;
  /** An input with the answer of the original, if the exporter left one. */
  readonly example: Section | undefined;
  /** Whether the exporter says that rows of a table go in. Those of scikit-learn and its like do. */
  readonly isTableTold: boolean;
  /** Whether the exporter says how scores are read. */
  readonly areScoresTold: boolean;
}

/** @param reading how the scores of a classification are read */
export function formatManifest(draft: Draft, reading: Section = {}): string {
  const { name, description = `Made from ${path.basename(draft.file)}.`, values, example } = draft;
  const { kind, reason, batch, ...guessed } = draft.guess;
  const output = { ...guessed.output, ...reading };
  const sections = merge(
    {
      ...{ version: 1, description, input: guessed.input, output },
      ...(Object.keys(guessed.outputs).length > 0 && { outputs: guessed.outputs }),
      ...(batch && { batch }),
    },
    draft.settings,
  );
  const { version, input, output: answer, outputs, ...others } = sections as Sections;
  const lines = [
    '# Every key is explained in docs/manifest.md.',
    `name: ${name}`,
    '# Give a changed model a new version.',
    `version: ${flow(version)}`,
    `description: ${JSON.stringify(sections.description)}`,
    `source: ${flow(draft.source)}`,
    `# ${kind}, because ${reason}.`,
    ...remarksOf(input, sectionOf(draft.settings, 'input')),
    ...formatInput(input),
    ...(/softmax|sigmoid/.test(String(answer.activation))
      ? [`# ${answer.activation} makes probabilities of its scores.`]
      : []),
    ...(answer.threshold === undefined ? [] : ['# Each label that has this score is answered.']),
    `output: ${flow(answer)}`,
    ...(outputs
      ? [
          '# The other outputs of the network. Remove those that nobody needs.',
          `outputs: ${flow(outputs)}`,
        ]
      : []),
    declareNetwork(values),
    ...formatPredict(draft, answer),
    ...(batch === 'none' ? [noBatchRemark] : batch ? [fixedRemark] : []),
    ...Object.entries(others)
      .filter(([key]) => key !== 'description')
      .map(([key, value]) => `${key}: ${flow(value)}`),
    '# An input and its right answer are checked by `npm run models -- check`, and warm the model up.',
    example ? `example: ${flow(example)}` : `# example: ${formOfExample(input, answer)}`,
  ];
  return `${lines.join('\n')}\n`;
}

const fixedRemark = '# The file fixes the first dimension, so inputs are scored one by one.';

const noBatchRemark =
  '# Not every input and output has a first dimension that counts inputs, so requests are scored one by one.';

/** Names the output that `predict()` of scikit-learn and its like returns: the best label, or the number. */
function formatPredict({ values, isTableTold }: Draft, { kind }: Section): string[] {
  const { outputs } = values;
  const label = outputs.find(
    (output) =>
      /label$/i.test(output.name) &&
      !isFloats(output) &&
      output.shape.slice(1).every((size) => size === 1),
  );
  const number = isTableTold && outputs.length === 1 ? outputs[0] : undefined;
  const named = { classification: label, regression: number }[String(kind)];
  if (!named) return [];
  return [
    '# What POST /v1/models/NAME:predict answers with, as KServe does.',
    `predict: ${flow(named.name)}`,
  ];
}

/** Shows the form of an example. */
function formOfExample(input: Section, answer: Section): string {
  if (input.kind === 'tensors') return '{ inputs: [{ name: …, shape: […], data: […] }] }';
  if (answer.kind === 'regression') return '{ input: …, expected: { value: … } }';
  if (answer.kind === 'embedding') return '{ input: …, expected: { embedding: […] } }';
  if (answer.kind === 'tensors') return '{ input: …, expected: {} }';
  return '{ input: …, expected: { label: …, score: … } }';
}

interface Sections extends Record<string, unknown> {
  readonly version: unknown;
  readonly input: Section;
  readonly output: Section;
  readonly outputs?: Section;
}

function remarksOf({ mean, scale, tokensMax }: Section, settings: Section): string[] {
  if (tokensMax !== undefined) return ['# Longer texts are cut after so many tokens.'];
  if (setsPixels(settings)) return [];
  if (mean !== undefined) return [pictureRemark];
  if (scale === undefined) return [];
  return [scale === 1 ? unscaledRemark : scaleRemark];
}

const pictureRemark =
  "# The means and deviations are ImageNet's, in the order red, green, blue. Put those of your training here.";

const scaleRemark =
  '# Pixels become 0 to 1. If your training did otherwise, put its scale and offset here; scale: 1 leaves them from 0 to 255.';

const unscaledRemark = '# Pixels stay from 0 to 255, since the network scales them itself.';

/** The columns of a table have a line each. */
export function formatInput({ columns, ...others }: Section): string[] {
  if (!Array.isArray(columns)) return [`input: ${flow(others)}`];
  return [
    'input:',
    '  kind: table',
    '  columns:',
    ...columns.map((column) => `    - ${flow(column)}`),
  ];
}

/** Writes a value in YAML, on one line. Texts are those of JSON, which is YAML. */
export function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .map(([key, inner]) => `${isPlain(key) ? key : JSON.stringify(key)}: ${flow(inner)}`);
  return pairs.length > 0 ? `{ ${pairs.join(', ')} }` : '{}';
}

function isPlain(key: string): boolean {
  return /^[a-z]\w*$/i.test(key) && !/^(true|false|null)$/i.test(key);
}
