// `npm run models -- add FILE`: makes the folder of a model from its ONNX file, or from the file of a framework, which
// is exported first. The ONNX file says which inputs and outputs the network has, and often its labels. The rest comes from
// files beside it, from flags, or from the user, who is asked only at a terminal.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { sha256Of } from '../../shared/files/sha256.js';
import { trimLabel } from '../../shared/manifest/labels.js';
import { makeLogger } from '../../shared/process/log.js';
import { readModels } from '../../shared/registry/models.js';
import { mapScores } from '../../shared/tensors/scores.js';
import { sampleInputs } from '../../worker/batch/inputs/sample.js';
import { loadScorer } from '../../worker/batch/scorer.js';
import type { Values } from '../../worker/engine/engine.js';
import { openOnnxEngine } from '../../worker/engine/onnx.js';
import { type OutsideNeeds, readOutsideNeeds } from '../../worker/files/onnx-file.js';
import {
  readOnnxManifest,
  readOnnxMetadata,
  readOnnxProducer,
} from '../../worker/files/onnx-labels.js';
import { UnreadableBuffer } from '../../worker/files/protocol-buffer.js';
import { findNeedsFault } from '../../worker/files/verification.js';
import { sayHowToAsk } from '../curl-line.js';
import { wrongFile } from '../faults.js';
import { orRemove, withFolder } from '../temporary.js';
import { type Hints, isColumns, kinds, type Told } from './adding/hints.js';
import { findLabels, trimmedName, writeLabels } from './adding/labels.js';
import { type Draft, formatManifest } from './adding/manifest-text.js';
import { makeMlflowProgram } from './adding/mlflow.js';
import { readOnnxImage } from './adding/preparing/onnx-image.js';
import { readYolo } from './adding/preparing/yolo.js';
import { dress, withSizesOfRun } from './adding/sample-run.js';
import { readScores } from './adding/scores.js';
import { merge, sectionOf } from './adding/settings.js';
import { readWishes, type Wishes } from './adding/wishes.js';
import { checkModel } from './check.js';
import { manifestFile, modelIn } from './copy.js';
import { exportModel } from './export.js';
import { type Guess, guess } from './guess.js';
import { endIfHung } from './hung.js';

const device = {
  type: 'cpu',
  id: 0,
  threads: 0,
  instances: 1,
  memoryArena: true,
} as const;

/** Where the model is made, and the ONNX file: the one that the user named, or the one that was exported. */
interface Place {
  readonly folder: string;
  readonly onnx: string;
}

/**
 * Makes `models/NAME` with the manifest, the network and its labels, and checks it. Another version of a model that is
 * there becomes `models/NAME/VERSION` once it is whole, since a running service takes it then. Leaves nothing behind if
 * the network cannot be served.
 * @throws ScorelineError
 */
export async function addModel(
  parameters: readonly string[],
  { directory, say }: { directory: string; say: (line: string) => void },
): Promise<void> {
  const wishes = readWishes(parameters);
  const { name, version } = wishes;
  const target = targetOf(wishes, directory);
  if (target === path.join(directory, name)) await makeModel(wishes, { directory, say });
  else {
    // As deep as the target, so a path to a file outside of the folder is right in both places.
    await withFolder(directory, 'add', async (place) =>
      renameSync(await makeModel(wishes, { directory: place, say }), target),
    );
  }
  say(`\n${manifestFile({ folder: target })} is yours to edit.`);
  sayHowToAsk(modelIn(directory, name, version), say);
}

/** Makes `directory/NAME`, and returns it. */
async function makeModel(
  wishes: Wishes,
  { directory, say }: { directory: string; say: (line: string) => void },
): Promise<string> {
  const { name, format } = wishes;
  const folder = path.join(directory, name);
  const make = async (temporary: string) => {
    if (format === 'mlflow') {
      await makeProgram(wishes, folder, say);
      await checkModel(modelIn(directory, name), say);
    } else await makeNetwork(wishes, { directory, folder, temporary, say });
  };
  await orRemove(folder, () => withFolder(os.tmpdir(), 'scoreline-add', make));
  return folder;
}

async function makeNetwork(
  wishes: Wishes,
  {
    directory,
    folder,
    temporary,
    say,
  }: { directory: string; folder: string; temporary: string; say: (line: string) => void },
): Promise<void> {
  const onnx = wishes.format === 'onnx' ? wishes.file : await exportModel(wishes, temporary, say);
  const make = async (mismatch?: Error) => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const draft = await makeDraft(wishes, { folder, onnx, mismatch });
    say(`${wishes.name}: ${draft.guess.kind}, because ${draft.guess.reason}`);
    for (const [what, why] of draft.guess.remarks) sayRemark(say, what, why);
    if (mismatch) sayRemark(say, 'sizes', 'left open where a run gave others than the file says');
    await putLabels(draft, wishes, { onnx, folder, say });
    await writeManifest(draft, { directory, folder, wishes, say });
    await checkModel(modelIn(directory, wishes.name), say);
  };
  try {
    await make();
  } catch (thrown) {
    const error = coerceError(thrown);
    if (!(error instanceof ScorelineError) || error.code !== 'model_output_mismatch') throw error;
    await make(error);
  }
}

async function makeProgram(
  { file: from, name, description, settings, python }: Wishes,
  folder: string,
  say: (line: string) => void,
): Promise<void> {
  say(
    `${from}: a model of MLflow, served as a Python program. Loading it runs the code in it, so add only models whose origin you trust.`,
  );
  mkdirSync(folder, { recursive: true });
  await makeMlflowProgram({
    ...{ from, folder, name, description, settings, python },
    say: (what, why) => sayRemark(say, what, why),
  });
}

/** Returns the folder to be made. */
function targetOf({ name, version }: Wishes, directory: string): string {
  const home = path.join(directory, name);
  if (!existsSync(home)) return home;
  const here = `${home} is there already`;
  if (version === undefined) {
    throw wrongFile(
      `expected a new name; ${here}. Choose another with --name NAME, or add a version to it with --version V`,
    );
  }
  const target = path.join(home, version);
  const versions = readModels({ directory, names: [name], filesNeeded: false });
  if (existsSync(target) || versions.some((model) => model.version === version)) {
    throw wrongFile(
      `--version: expected a new version; ${here}, with a ${version}. Choose another: --version V`,
    );
  }
  return target;
}

function sayRemark(say: (line: string) => void, what: string, why: string): void {
  say(`  ${what.padEnd(10)} ${why}`);
}

/** @param place and why the sizes of outputs that the file says are to be compared with those of a run */
async function makeDraft(
  wishes: Wishes,
  { folder, onnx, mismatch }: Place & { mismatch: Error | undefined },
): Promise<Draft> {
  const { files, operators } = copyNetwork(onnx, folder);
  const opened = await openOnnxEngine(
    { file: path.join(folder, 'model.onnx'), device },
    { runMsMax: 60_000, onLost: endIfHung(wishes.name) },
  );
  try {
    const { kind: wanted, companions, settings, columns, name, description, file } = wishes;
    const hasLabels = wishes.labels !== undefined;
    const hasMaps = operators.some((operator) => operator.name === 'ZipMap');
    const told = readTold(onnx);
    const producer = readOnnxProducer(onnx);
    const isOfRows = opened.outputs.every(({ shape }) => shape.length === 2);
    const metadata = readOnnxMetadata(onnx);
    const preparation =
      readYolo(metadata, isOfRows) ?? companions.preparation ?? readOnnxImage(metadata);
    const hints = {
      ...{ wanted, companions, settings, columns, hasLabels, hasMaps, producer, told, preparation },
    };
    const byFile = soundGuess(opened, hints);
    const engine = mismatch ? await withSizesOfRun(opened, byFile, { settings, mismatch }) : opened;
    const guessed = mismatch ? soundGuess(engine, hints) : byFile;
    checkFlags(wishes, guessed);
    const { tokenizer } = guessed;
    if (tokenizer !== undefined) copyFileSync(tokenizer, path.join(folder, 'tokenizer.json'));
    const dressed = await dress(engine, guessed, settings);
    const described = await Promise.all(files.map((name) => describeFile(folder, name)));
    const [network, ...externalData] = described;
    return {
      ...{ name, description, file, settings, values: dressed.values, guess: dressed.guess },
      example: told && isLeftAs(told, wishes) ? exampleOf(told, guessed) : undefined,
      isTableTold: told?.input.kind === 'table',
      areScoresTold: ['activation', 'threshold'].some((key) => key in (told?.output ?? {})),
      source: {
        ...network,
        ...(externalData.length > 0 && { externalData }),
        ...(tokenizer !== undefined && { tokenizer: await describeFile(folder, 'tokenizer.json') }),
      },
    };
  } finally {
    await opened.close();
  }
}

function soundGuess(values: Values, hints: Hints): Guess {
  const guessed = guess(values, hints);
  if ('fault' in guessed) throw wrongFile(guessed.fault);
  return guessed;
}

/** Whether the user has changed nothing that the answer to the exporter's example depends on. */
function isLeftAs({ input }: Told, { kind = input.kind, labels, settings }: Wishes) {
  const hasSections = ['input', 'output', 'outputs', 'example'].some((key) => key in settings);
  return kind === input.kind && labels === undefined && !hasSections;
}

/** Returns the exporter's example. The columns of its row have the names that the user gave. */
function exampleOf({ input: { columns: told }, example }: Told, { input: { columns } }: Guess) {
  if (!example || !isColumns(told) || !isColumns(columns)) return example;
  const row = sectionOf(example, 'input');
  const named = columns.flatMap(({ name }, at) => {
    const own = told[at]?.name ?? name;
    return Object.hasOwn(row, own) ? [[name, row[own]]] : [];
  });
  return { ...example, input: Object.fromEntries(named) };
}

/** No flag is left aside without a word. */
function checkFlags({ labels, columns, hasTokenizer, settings }: Wishes, guessed: Guess): void {
  const { kind, reason, tokenizer } = guessed;
  const answer = sectionOf(settings, 'output').kind ?? guessed.output.kind;
  const is = `it is ${kind}, because ${reason}`;
  if (labels !== undefined && answer !== 'classification' && answer !== 'ranking') {
    const remedy =
      kind === 'tensors' ? '. A Python program can name its classes: docs/python.md' : '';
    throw wrongFile(
      `--labels: expected a network that answers with classes; ${is}, and it answers with ${answer}${remedy}`,
    );
  }
  if (columns && kind !== 'table') throw wrongFile(`--columns: expected a table; ${is}`);
  if (hasTokenizer && tokenizer === undefined) {
    throw wrongFile(`--tokenizer: expected a network that takes tokens as input_ids; ${is}`);
  }
}

async function describeFile(folder: string, file: string) {
  const copy = path.join(folder, file);
  return { file, bytes: statSync(copy).size, sha256: await sha256Of(copy) };
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
  throw wrongFile(
    `expected sections of a manifest in the metadata "scoreline" of ${file}; got ${text.slice(0, 80)}. Say what it is: --kind ${kinds.join('|')}`,
  );
}

/** Copies the network and its external data. Returns their names in the folder, the network first. */
function copyNetwork(file: string, folder: string) {
  let needs: OutsideNeeds;
  try {
    needs = readOutsideNeeds(file);
  } catch (thrown) {
    if (!(thrown instanceof UnreadableBuffer)) throw thrown;
    throw wrongFile(
      `expected an ONNX file; ${file} cannot be read ${thrown.message}. Copy, download or export it again`,
    );
  }
  const fault = findNeedsFault(needs);
  if (fault !== undefined) throw wrongFile(`${file}: ${fault}`);
  const data = [...new Set(needs.externalData)];
  for (const name of data) {
    const from = path.join(path.dirname(file), name);
    if (!statSync(from, { throwIfNoEntry: false })?.isFile()) {
      throw wrongFile(`expected the weights of ${file} in ${from}; there is no such file`);
    }
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    copyFileSync(from, path.join(folder, name));
  }
  copyFileSync(file, path.join(folder, 'model.onnx'));
  return { files: ['model.onnx', ...data], operators: needs.operators };
}

async function putLabels(
  { guess: guessed, settings }: Draft,
  { labels: given, file, companions }: Wishes,
  { onnx, folder, say }: Place & { say: (line: string) => void },
): Promise<void> {
  const { kind, labels } = merge(guessed.output, sectionOf(settings, 'output'));
  if (kind !== 'classification' || labels !== 'labels.txt') return;
  const count = guessed.size ?? 0;
  const found = await findLabels(count, { given, file, onnx, companions });
  writeFileSync(path.join(folder, 'labels.txt'), writeLabels(found));
  const { source } = found;
  sayRemark(
    say,
    'labels',
    source === undefined
      ? `none found; they are class 0 to class ${count - 1}. Put yours into labels.txt, or name them: --labels FILE`
      : `${count}, from ${source}`,
  );
  const trimmed = trimmedName(found);
  if (trimmed !== undefined) {
    const served = JSON.stringify(trimLabel(trimmed));
    sayRemark(say, '', `without the blanks around them: ${JSON.stringify(trimmed)} is ${served}`);
  }
}

/** Writes the manifest, and writes it again if a sample shows that its scores must be read in another way. */
async function writeManifest(
  draft: Draft,
  {
    directory,
    folder,
    wishes,
    say,
  }: { directory: string; folder: string; wishes: Wishes; say: (line: string) => void },
): Promise<void> {
  const file = manifestFile({ folder });
  writeFileSync(file, formatManifest(draft));
  const model = modelIn(directory, draft.name);
  const { activation, threshold } = sectionOf(draft.settings, 'output');
  const isSet = draft.areScoresTold || activation !== undefined || threshold !== undefined;
  if (model.manifest.output.kind !== 'classification' || isSet) return;
  const log = makeLogger({ role: 'add', level: 'silent' });
  const scorer = await loadScorer(model, log, endIfHung(model.name));
  try {
    const inputs = sampleInputs(model.manifest, scorer.values.inputs);
    const [result] = (await scorer.score([{ inputs, top: model.labels.length }])).results;
    if (!result || 'error' in result) return;
    const scores = mapScores(result.outputs, (_, score) => score);
    const { reason, ...reading } = readScores(scores, wishes.companions.hasSeveralLabels);
    if (reason === undefined) return;
    sayRemark(say, 'scores', `of a sample ${reason}`);
    writeFileSync(file, formatManifest(draft, { ...reading }));
  } finally {
    await scorer.close();
  }
}
