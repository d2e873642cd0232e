// `npm run models -- add FILE`: makes the folder of a model from its ONNX file, or from the file of a framework, which
// is exported first. The ONNX file says which inputs and outputs the network has, and often its labels. What it does
// not say, flags do, or the user, who is asked only at a terminal.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { ScorelineError } from '../shared/errors.js';
import { makeLogger } from '../shared/log.js';
import { inputSchema } from '../shared/manifest.js';
import { type Model, readModels } from '../shared/models.js';
import { mapScores } from '../shared/scores.js';
import { sha256Of } from '../shared/sha256.js';
import { declareNetwork } from '../worker/batch/declared.js';
import { sampleInputs } from '../worker/batch/sample.js';
import { loadScorer } from '../worker/batch/scorer.js';
import type { Engine, TensorValue } from '../worker/engine/engine.js';
import { openOnnxEngine } from '../worker/engine/onnx.js';
import { readOutsideNeeds } from '../worker/files/onnx-file.js';
import { readOnnxLabels, readOnnxManifest } from '../worker/files/onnx-labels.js';
import { UnreadableBuffer } from '../worker/files/protocol-buffer.js';
import { checkModel } from './check.js';
import { curlLine } from './curl-line.js';
import { describeExport, type ExportWishes, exportModel } from './export.js';
import { type Guess, guess, type Kind, kinds, type Told } from './guess.js';
import { type Format, formatOf } from './model-format.js';

export const addUsage =
  'add FILE [--name NAME] [--kind text|image|table|tensors] [--labels FILE] [--description TEXT] [--export [--python PATH] [--shape SIZES]]';

const device = { type: 'cpu', id: 0, threads: 0, memoryArena: true } as const;

interface Wishes extends ExportWishes {
  /** What the user named. */
  readonly file: string;
  readonly format: Format;
  readonly isExport: boolean;
  readonly name: string;
  readonly kind: Kind | undefined;
  readonly labels: string | undefined;
  readonly description: string | undefined;
}

/** The parts from which the manifest is written. */
interface Draft extends Wishes {
  readonly folder: string;
  /** The ONNX file: the one that the user named, or the one that was exported. */
  readonly onnx: string;
  readonly guess: Guess;
  readonly values: Pick<Engine, 'inputs' | 'outputs'>;
  readonly files: readonly { file: string; bytes: number; sha256: string }[];
}

/**
 * Makes `models/NAME` with the manifest, the network and its labels, and checks it. Leaves nothing behind if
 * the network cannot be served.
 * @throws ScorelineError
 */
export async function addModel(
  parameters: readonly string[],
  { directory, say }: { directory: string; say: (line: string) => void },
): Promise<void> {
  const wishes = readWishes(parameters);
  const folder = path.join(directory, wishes.name);
  if (existsSync(folder)) {
    throw wrong(`expected a new name; ${folder} is there already. Choose another: --name NAME`);
  }
  const temporary = mkdtempSync(path.join(os.tmpdir(), 'scoreline-add-'));
  try {
    const onnx = wishes.format === 'onnx' ? wishes.file : await exportModel(wishes, temporary, say);
    mkdirSync(folder, { recursive: true });
    const draft = await makeDraft(wishes, { folder, onnx });
    say(`${wishes.name}: ${draft.guess.kind}, because ${draft.guess.reason}`);
    const labels = await findLabels(draft, say);
    if (labels) writeFileSync(path.join(folder, 'labels.txt'), writeLabels(labels));
    await writeManifest(draft, directory, say);
    const model = modelIn(directory, wishes.name);
    await checkModel(model, say);
    say(`\n${path.join(folder, 'model.yaml')} is yours to edit. Serve it with npm start, and ask:`);
    say(curlLine('http://localhost:8080', model));
  } catch (thrown) {
    rmSync(folder, { recursive: true, force: true });
    throw thrown;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function modelIn(directory: string, name: string): Model {
  const [model] = readModels({ directory, names: [name], filesNeeded: true });
  return model as Model;
}

function readWishes(parameters: readonly string[]): Wishes {
  const { values, positionals } = parseWishes(parameters);
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw wrong(`Usage: npm run models -- ${addUsage}`);
  if (!existsSync(file)) throw wrong(`expected a file; there is no ${file}`);
  const { kind } = values;
  if (kind !== undefined && !kinds.some((known) => known === kind)) {
    throw wrong(`--kind: expected one of ${kinds.join(', ')}; got ${kind}`);
  }
  const format = formatOf(file);
  const isExport = values.export === true;
  const { python, shape = [], labels, description } = values;
  if (format !== 'onnx' && !isExport) throw wrong(describeExport({ file, format, shape }));
  const name = values.name ?? nameOf(file);
  if (!/^[a-z0-9][a-z0-9.-]{0,62}$/.test(name)) {
    throw wrong(`--name: expected lower-case letters, digits, . and -; got ${name}`);
  }
  return {
    ...{ file, format, isExport, python, shape, name, labels, description },
    kind: kind as Kind | undefined,
  };
}

function parseWishes(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        name: { type: 'string' },
        kind: { type: 'string' },
        labels: { type: 'string' },
        description: { type: 'string' },
        export: { type: 'boolean' },
        python: { type: 'string' },
        shape: { type: 'string', multiple: true },
      },
    });
  } catch (thrown) {
    throw wrong(`${(thrown as Error).message} Usage: npm run models -- ${addUsage}`);
  }
}

/** A file named model.onnx is named by its folder. */
function nameOf(file: string): string {
  const stem = path.basename(file, path.extname(file));
  const name = stem === 'model' ? path.basename(path.dirname(path.resolve(file))) : stem;
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^[-.]+|-+$/g, '');
}

async function makeDraft(
  wishes: Wishes,
  { folder, onnx }: { folder: string; onnx: string },
): Promise<Draft> {
  const files = copyNetwork(onnx, folder);
  const told = readTold(onnx);
  const engine = await openOnnxEngine(
    { file: path.join(folder, 'model.onnx'), device },
    { runMsMax: 60_000, onLost: () => {} },
  );
  try {
    const found = guess(engine, { wanted: wishes.kind, told });
    if ('fault' in found) throw wrong(found.fault);
    const guessed = withLabels(found, wishes.labels);
    const isOpen = guessed.output.kind === 'classification' && guessed.classes === undefined;
    const classes = isOpen ? await countScores(guessed, engine) : guessed.classes;
    const described = files.map(async (file) => {
      const copy = path.join(folder, file);
      return { file, bytes: statSync(copy).size, sha256: await sha256Of(copy) };
    });
    return {
      ...{ ...wishes, folder, onnx, values: engine },
      guess: { ...guessed, classes },
      files: await Promise.all(described),
    };
  } finally {
    await engine.close();
  }
}

/** A network with one score for each input has two classes if it has labels. */
function withLabels(guessed: Guess, labels: string | undefined): Guess {
  if (labels === undefined || guessed.output.kind !== 'regression') return guessed;
  const output = { kind: 'classification', labels: 'labels.txt', activation: 'none' };
  return { ...guessed, output: { ...guessed.output, ...output }, classes: 2 };
}

/** Returns what an exporter of ours has left in the file for the manifest. */
function readTold(file: string): Told | undefined {
  const text = readOnnxManifest(file);
  if (text === undefined) return undefined;
  try {
    const told = JSON.parse(text) as Partial<Told>;
    if (kinds.some((kind) => kind === told.input?.kind)) return told as Told;
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown;
  }
  throw wrong(
    `expected sections of a manifest in the metadata "scoreline" of ${file}; got ${text.slice(0, 80)}. Say what it is: --kind ${kinds.join('|')}`,
  );
}

/** Copies the network and its external data. Returns their names in the folder, the network first. */
function copyNetwork(file: string, folder: string): string[] {
  let external: readonly string[];
  try {
    external = readOutsideNeeds(file).externalData;
  } catch (thrown) {
    if (!(thrown instanceof UnreadableBuffer)) throw thrown;
    throw wrong(`expected an ONNX file; ${file} cannot be read ${thrown.message}`);
  }
  const data = [...new Set(external)];
  for (const name of data) {
    const from = path.join(path.dirname(file), name);
    if (path.basename(name) !== name || !existsSync(from)) {
      throw wrong(`expected the weights of ${file} beside it, in ${from}`);
    }
    copyFileSync(from, path.join(folder, name));
  }
  copyFileSync(file, path.join(folder, 'model.onnx'));
  return ['model.onnx', ...data];
}

/** Returns the labels of a classification; undefined for another output. */
async function findLabels(
  draft: Draft,
  say: (line: string) => void,
): Promise<string[] | undefined> {
  const { guess: guessed, file, onnx, labels: wished } = draft;
  if (guessed.output.kind !== 'classification') return undefined;
  const count = guessed.classes ?? 0;
  const given = wished ?? (await ask(`File with the ${count} labels, a line each (Enter: none): `));
  const own = given ? readLines(given) : readOnnxLabels(onnx);
  if (own && own.length !== count) {
    throw wrong(
      `expected ${count} labels, one for each score of the network; got ${own.length} from ${given ?? `the metadata of ${file}`}. Give a file with a line for each: --labels FILE`,
    );
  }
  if (own) return own;
  say(`  labels     none found; they are class 0 to class ${count - 1}. Put yours into labels.txt`);
  return Array.from({ length: count }, (_, at) => `class ${at}`);
}

async function ask(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = (await terminal.question(question)).trim();
  terminal.close();
  return answer === '' ? undefined : answer;
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').trimEnd().split(/\r?\n/);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    throw wrong(`--labels: expected a text file; got ${file}, which cannot be read (${code})`);
  }
}

/** Each line gets an id, so that no first word of a label is taken for one. */
function writeLabels(labels: readonly string[]): string {
  const haveIds = labels.every((label) => /^\S*\d\S* \S/.test(label));
  return labels.map((label, at) => `${haveIds ? label : `${at} ${label}`}\n`).join('');
}

/** Runs the network once, since its file leaves the number of scores open. */
async function countScores({ input, output }: Guess, engine: Engine): Promise<number> {
  const sample = { input: inputSchema.parse(input), description: 'hello', example: undefined };
  try {
    const inputs = namedAfter(engine.inputs, sampleInputs(sample, engine.inputs));
    const { outputs } = await engine.run(inputs);
    const scores = outputs.find(({ name, datatype }) =>
      output.tensor === undefined ? datatype.startsWith('FP') : name === output.tensor,
    );
    return scores?.shape.at(-1) ?? 0;
  } catch (thrown) {
    throw wrong(
      `expected the network to score a sample, since its file does not say how many classes it has; ${(thrown as Error).message}`,
    );
  }
}

function namedAfter(values: readonly TensorValue[], tensors: ReturnType<typeof sampleInputs>) {
  return tensors.map((tensor, at) => {
    const { name = tensor.name, shape = [] } = values[at] ?? {};
    const isColumn = tensor.datatype === 'BYTES' && shape.length === 2;
    return { ...tensor, name, shape: isColumn ? [1, 1] : tensor.shape };
  });
}

/** How the scores are read, and why. */
interface Reading {
  readonly activation: 'none' | 'softmax' | 'sigmoid';
  readonly threshold?: number;
  readonly reason?: string;
}

/** Writes the manifest, and writes it again if a sample shows that its scores must be read in another way. */
async function writeManifest(
  draft: Draft,
  directory: string,
  say: (line: string) => void,
): Promise<void> {
  const file = path.join(draft.folder, 'model.yaml');
  writeFileSync(file, formatManifest(draft, { activation: 'none' }));
  if (draft.guess.output.kind !== 'classification') return;
  const model = modelIn(directory, draft.name);
  const scorer = await loadScorer(model, makeLogger({ role: 'add', level: 'silent' }));
  try {
    const inputs = sampleInputs(model.manifest, scorer.values.inputs);
    const [result] = (await scorer.score([{ inputs, top: model.labels.length }])).results;
    if (!result || 'error' in result) return;
    const reading = readScores(mapScores(result.outputs, (_, score) => score));
    if (reading.reason === undefined) return;
    say(`  scores     of a sample ${reading.reason}`);
    writeFileSync(file, formatManifest(draft, reading));
  } finally {
    await scorer.close();
  }
}

/** Tells logits, probabilities of one class and probabilities of several by the scores of a sample. */
function readScores(scores: readonly number[]): Reading {
  const sum = scores.reduce((total, score) => total + score, 0);
  // A forest adds up to a little more than 1.
  const areWithin = scores.every((score) => score >= -1e-6 && score <= 1 + 1e-6);
  const isWhole = Math.abs(sum - 1) < 0.01;
  if (areWithin && (isWhole || scores.length === 1)) return { activation: 'none' };
  if (areWithin) {
    return {
      activation: 'none',
      threshold: 0.5,
      reason: `are within 0 and 1, and their sum is ${sum.toPrecision(3)}, so an input can have several labels: threshold is 0.5. If they are logits, set activation: softmax in place of it`,
    };
  }
  // The scores of two classes are made of one: p and 1 - p.
  if (isWhole && scores.length === 2) {
    return { activation: 'sigmoid', reason: 'is no probability, so activation is sigmoid' };
  }
  return {
    activation: 'softmax',
    reason:
      'are no probabilities, so activation is softmax. If an input can have several labels, set activation: sigmoid and threshold: 0.5',
  };
}

function formatManifest(draft: Draft, { activation, threshold }: Reading): string {
  const { name, description, guess: guessed, files, values, file } = draft;
  const [network, ...data] = files;
  const source = { ...network, ...(data.length > 0 && { externalData: data }) };
  const { reason, input, outputs, batch } = guessed;
  const output =
    guessed.output.kind === 'classification'
      ? { ...guessed.output, activation, ...(threshold !== undefined && { threshold }) }
      : guessed.output;
  const isScaled = input.mean !== undefined || input.scale !== undefined;
  const lines = [
    '# Every key is explained in docs/models.md.',
    `name: ${name}`,
    '# Give a changed model a new version.',
    'version: 1',
    `description: ${JSON.stringify(description ?? `Made from ${path.basename(file)}.`)}`,
    `source: ${flow(source)}`,
    `# ${guessed.kind}, because ${reason}.`,
    ...(isScaled ? [input.mean ? pictureRemark : scaleRemark] : []),
    ...formatInput(input),
    ...(activation === 'none' ? [] : [`# ${activation} makes probabilities of its scores.`]),
    ...(threshold === undefined ? [] : ['# Each label that has this score is answered.']),
    `output: ${flow(output)}`,
    ...(Object.keys(outputs).length > 0
      ? [
          '# The other outputs of the network. Remove those that nobody needs.',
          `outputs: ${flow(outputs)}`,
        ]
      : []),
    declareNetwork(values),
    ...(batch ? ['# The file fixes the first dimension, so inputs are scored one by one.'] : []),
    ...(batch ? [`batch: ${flow(batch)}`] : []),
    '# An input and its right answer are checked by `npm run models -- check`, and warm the model up.',
    '# example: { input: …, expected: { label: …, score: … } }',
  ];
  return `${lines.join('\n')}\n`;
}

/** The columns of a table have a line each. */
function formatInput({ columns, ...others }: Record<string, unknown>): string[] {
  if (!Array.isArray(columns)) return [`input: ${flow(others)}`];
  return [
    'input:',
    '  kind: table',
    '  columns:',
    ...columns.map((column) => `    - ${flow(column)}`),
  ];
}

const pictureRemark =
  "# The means and deviations are ImageNet's, in the order red, green, blue. Put those of your training here.";

const scaleRemark =
  '# Pixels become 0 to 1. If your training did otherwise, put its scale and offset here; scale: 1 leaves them from 0 to 255.';

/** JSON is YAML, on one line. */
function flow(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll(/"([a-zA-Z]\w*)":/g, '$1: ')
    .replaceAll(/,(?=\S)/g, ', ')
    .replaceAll(/(?<=[{])(?=\w)/g, ' ')
    .replaceAll(/(?<=\S)[}]/g, ' }');
}

function wrong(message: string): ScorelineError {
  return new ScorelineError('model_file_wrong', message);
}
