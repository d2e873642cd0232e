// Inputs of a model for commands that run it without a service: its example, the lines of a file, or the pictures of a
// folder. They are prepared by the API's own code, so a command sees what serving sees.
//
// The right answers may be there, too: "label" or "value" in a line; for pictures, `expected.json` in the folder
// ({"rose.jpg": ["rose"]}), or the name of the folder that a picture is in.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { Ending } from '../../api/call/ending.js';
import type { RawInput } from '../../api/kinds/kind.js';
import { type InputKinds, makeInputKinds, readInput } from '../../api/kinds/kinds.js';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import {
  exampleTensor,
  type ScoresExample,
  scoresExampleOf,
} from '../../shared/manifest/example.js';
import type { Model } from '../../shared/registry/models.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { exampleInputs, exampleOrSample } from '../../worker/batch/inputs/sample.js';
import { wrong } from '../faults.js';
import { type CommandInput, describe, kindOfInputs, openInputs } from '../scoring/inputs.js';

export interface ModelInput {
  /** What people call it. */
  readonly name: string;
  readonly inputs: readonly Tensor[];
  /** The classes that are right answers, if they are known. */
  readonly classes?: ReadonlySet<number> | undefined;
  /** The right number of a regression, if it is known. */
  readonly value?: number | undefined;
}

/** They are kept in memory, decoded. */
const inputsMax = 2000;

/** Prepares the example of a model; undefined if its manifest has none. */
export async function readExample(model: Model): Promise<ModelInput | undefined> {
  const { manifest } = model;
  const tensors = exampleInputs(manifest);
  if (tensors) return { name: 'the example', inputs: tensors };
  const example = scoresExampleOf(manifest);
  if (!example) return undefined;
  const { label, value } = example.expected;
  const classes = label === undefined ? undefined : findClasses(model, [label]);
  return { name: 'the example', inputs: await prepareExample(model, example), classes, value };
}

/**
 * Prepares the example's input as the API does it.
 * @throws ScorelineError `manifest_invalid`
 */
export async function prepareExample(
  model: Model,
  { input }: ScoresExample,
): Promise<readonly Tensor[]> {
  const { kind } = model.manifest.input;
  const value =
    kind === 'image' || kind === 'file' ? readFileOfExample(model, String(input)) : undefined;
  try {
    const kinds = makeKinds();
    const raw = value ? { name: undefined, value } : readInput(kinds, model, input);
    return await prepare(kinds, model, raw);
  } catch (thrown) {
    if (!(thrown instanceof ScorelineError)) throw thrown;
    throw new ScorelineError(
      'manifest_invalid',
      `${model.name}: example.input: ${thrown.message}`,
      { cause: thrown },
    );
  }
}

function readFileOfExample({ name, folder }: Model, input: string): Buffer {
  const file = path.join(folder, input);
  try {
    return readFileSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ScorelineError(
      'manifest_invalid',
      `${name}: example.input: expected the path of a file, relative to the manifest; got ${file}, which cannot be read (${code})`,
      { cause },
    );
  }
}

/** Returns the example, or a sample where there is none: noise for pictures, ones for tensors. */
export async function readExampleOrSample(model: Model): Promise<ModelInput> {
  const example = await readExample(model);
  return example ?? { name: 'a sample', inputs: exampleOrSample(model.manifest) };
}

/**
 * Reads all inputs in a file of lines, or in a folder of pictures or other files.
 * @throws ScorelineError `configuration_invalid`, with the first input that the model does not take
 */
export async function readModelInputs(model: Model, place: string): Promise<ModelInput[]> {
  const { kind } = model.manifest.input;
  if (kind === 'tensors') return readTensorLines(model, place);
  const placeKind = await kindOfInputs(place);
  const isOfFiles = placeKind === 'files';
  if (isOfFiles !== (kind === 'image' || kind === 'file')) {
    throw wrong(
      `${place}: expected ${isOfFiles ? 'a file of lines, as {"input": …}' : `a folder of ${kind === 'image' ? 'pictures' : 'files'}`} for ${model.name}, whose input is ${kind}`,
    );
  }
  const isOfPictures = kind === 'image';
  const inputs = await openInputs(place, { kind: placeKind, isOfPictures });
  const count = await inputs.count();
  if (count > inputsMax) {
    throw wrong(
      `${place}: expected at most ${inputsMax} inputs; got ${count}. Take a part of them.`,
    );
  }
  const kinds = makeKinds();
  const rights = isOfFiles ? pictureLabels(place) : undefined;
  const found: ModelInput[] = [];
  for await (const input of inputs.read()) {
    const at = `${place}: ${describe(input)}`;
    try {
      if (input.fault) throw input.fault;
      const right = rights ? rights(String(input.name)) : lineAnswer(input);
      found.push({
        name: describe(input),
        inputs: await prepare(kinds, model, rawOf(kinds, model, input)),
        classes: right.labels && findClasses(model, right.labels),
        value: right.value,
      });
    } catch (thrown) {
      throw wrong(`${at}: ${coerceError(thrown).message}`);
    }
  }
  return found;
}

const makeKinds = () => makeInputKinds({ imagePixelsMax: 50_000_000, imagesMax: 1, threads: 4 });

async function prepare(kinds: InputKinds, model: Model, raw: RawInput) {
  const { kind } = model.manifest.input;
  if (kind === 'tensors') throw new Error('Tensors are no single input. This is a bug.');
  return kinds[kind].prepare(raw, model, new Ending());
}

function rawOf(kinds: InputKinds, model: Model, { body, contentType }: CommandInput): RawInput {
  if (contentType !== 'application/json') return { name: undefined, value: body };
  return readInput(kinds, model, JSON.parse(String(body)).input);
}

/** The right answer to an input. */
interface Right {
  readonly labels?: readonly string[] | undefined;
  readonly value?: number | undefined;
}

const answerSchema = z.object({
  label: z
    .union([z.string(), z.array(z.string()).min(1)], 'expected a label or several')
    .optional(),
  value: z.number().optional(),
});

function lineAnswer({ body }: CommandInput): Right {
  const parsed = answerSchema.safeParse(JSON.parse(String(body)));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw wrong(`${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { label, value } = parsed.data;
  return { labels: typeof label === 'string' ? [label] : label, value };
}

/** Looks for the labels of pictures beside them. */
function pictureLabels(folder: string): (name: string) => Right {
  const file = path.join(folder, 'expected.json');
  if (!existsSync(file)) {
    return (name) => {
      const parent = path.dirname(name);
      return { labels: parent === '.' ? undefined : [path.basename(parent)] };
    };
  }
  const schema = z.record(z.string(), z.array(z.string()).min(1));
  let expected: z.output<typeof schema>;
  try {
    expected = schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw wrong(
      `${file}: expected JSON as {"rose.jpg": ["rose"]}: the right labels of each picture`,
    );
  }
  return (name) => ({ labels: expected[name] });
}

/** Finds labels by their text, their id, or both with a blank between them. */
function findClasses(
  { labels, name }: Model,
  wanted: readonly string[],
): ReadonlySet<number> | undefined {
  // The folder of a picture says nothing to a model of boxes or masks.
  if (labels.length === 0) return undefined;
  return new Set(
    wanted.map((label) => {
      const found = labels.findIndex(
        ({ text, id }) => label === text || label === String(id) || label === `${id} ${text}`,
      );
      if (found >= 0) return found;
      throw wrong(`expected a label of ${name}; got ${JSON.stringify(label)}`);
    }),
  );
}

const tensorLineSchema = z.object({
  inputs: z.array(
    z.object({
      name: z.string(),
      shape: z.array(z.number().int().nonnegative()),
      data: z.unknown(),
    }),
  ),
});

/** Lines as the body of a request of the Open Inference Protocol. */
function readTensorLines(model: Model, place: string): ModelInput[] {
  const declared = model.manifest.network?.inputs;
  if (!declared) throw wrong(`${model.name}: expected network in its manifest, for --inputs`);
  let lines: string[];
  try {
    lines = readFileSync(place, 'utf8').split('\n');
  } catch (thrown) {
    throw wrong(
      `${place}: expected a file of lines, as {"inputs": […]}; got ${coerceError(thrown).message}`,
    );
  }
  const filled = lines.filter((line) => line.trim() !== '');
  if (filled.length === 0 || filled.length > inputsMax) {
    throw wrong(
      `${place}: expected 1 to ${inputsMax} lines, as {"inputs": […]}; got ${filled.length}`,
    );
  }
  return filled.map((line, at) => {
    try {
      const { inputs } = tensorLineSchema.parse(JSON.parse(line));
      const tensors = declared.map((value) => {
        const given = inputs.find(({ name }) => name === value.name);
        if (!given) throw wrong(`expected the input ${value.name}`);
        return exampleTensor(value, given as Parameters<typeof exampleTensor>[1]);
      });
      return { name: `line ${at + 1}`, inputs: tensors };
    } catch (thrown) {
      const reason =
        thrown instanceof ScorelineError
          ? thrown.message
          : 'expected {"inputs": [{"name": …, "shape": […], "data": […]}]}';
      throw wrong(`${place}: line ${at + 1}: ${reason}`);
    }
  });
}
