// `npm run models -- optimize NAME`: makes a faster version of a model with ONNX Runtime's own tools, and reports
// what it costs: size, speed, agreement with the original, and accuracy where right answers are known.
//
// Each method makes a candidate in a folder beside the models. The one to keep is renamed to `NAME/VERSION`, so
// nothing is left half-written, and no version is ever replaced.

import { copyFileSync, existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { ScorelineError } from '../../shared/errors.js';
import { sha256Of } from '../../shared/files/sha256.js';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import { describedBytes, versionExpected, versionPattern } from '../../shared/manifest/manifest.js';
import { makeLogger } from '../../shared/process/log.js';
import { filesOf } from '../../shared/registry/files.js';
import type { Model } from '../../shared/registry/models.js';
import { feedsOf } from '../../worker/batch/inputs/feeds.js';
import { openScorer, type WarmScorer } from '../../worker/batch/scorer.js';
import type { TensorValue } from '../../worker/engine/engine.js';
import { openOnnxEngine } from '../../worker/engine/onnx.js';
import { verifyFiles } from '../../worker/files/verification.js';
import { makeRehearse } from '../../worker/quarantine/rehearsal.js';
import { wrong, wrongFile } from '../faults.js';
import { toNumber } from '../numbers.js';
import { withFolder } from '../temporary.js';
import { checkBatchMates } from './batch-mates.js';
import { copyManifest, editManifest, manifestFile, modelIn, movedTo } from './copy.js';
import { endIfHung } from './hung.js';
import { type ModelInput, readExample, readModelInputs } from './inputs.js';
import {
  type Answer,
  answerAll,
  bestOf,
  type Comparison,
  compareAnswers,
  judge,
} from './optimizing/comparison.js';
import { keepTraffic } from './optimizing/keep-traffic.js';
import {
  describe,
  type Failed,
  type Measured,
  show,
  show4,
  tellNext,
} from './optimizing/report.js';
import {
  type Method,
  methods,
  ranges,
  type Tuning,
  transform,
  writeInputs,
} from './optimizing/tools.js';
import { readOptions, toChoice } from './options.js';
import { compareSpeeds, type Speed } from './speed.js';
import type { Edit } from './yaml-edit.js';

export const optimizeUsage =
  'optimize NAME [--from V] [--method graph|fp16|int8-dynamic|int8] [--inputs FILE.ndjson|FOLDER] [--calibration FILE.ndjson|FOLDER] [--agreement 0.99] [--version V] [--ranges minmax|percentile|entropy] [--reduce-range] [--keep NODE,…] [--seconds S] [--json]';

/** A candidate must be this much faster to be kept when no method is asked for. */
const gainMin = 1.05;
const rounds = 3;

interface Wishes {
  readonly method: Method | undefined;
  readonly inputs: string | undefined;
  readonly calibration: string | undefined;
  readonly agreement: number;
  /** The version that is optimised; the one that answers requests if undefined. */
  readonly from: string | undefined;
  readonly version: string | undefined;
  readonly tuning: Omit<Tuning, 'ranges'>;
  /** The ways to find ranges that are tried, until one agrees. */
  readonly ranges: readonly Tuning['ranges'][];
  readonly seconds: number;
  readonly isJson: boolean;
}

interface Candidate {
  readonly method: Method;
  readonly ranges: Tuning['ranges'];
  readonly model: Model;
  readonly scorer: WarmScorer;
  readonly answers: readonly Answer[];
  readonly comparison: Comparison;
  readonly changed: Readonly<Record<string, number>>;
}

interface Surroundings {
  /** The folder of models. */
  readonly directory: string;
  readonly say: (line: string) => void;
  /** The file that names the Python packages with ONNX Runtime's tools; their own if undefined. */
  readonly packages?: string | undefined;
}

/** What a run works with. */
interface Run extends Pick<Surroundings, 'packages'> {
  readonly model: Model;
  readonly wishes: Wishes;
  /** The folder of the model, which gets the version. */
  readonly place: string;
  readonly compared: readonly ModelInput[];
  /** The file with the calibration inputs. */
  readonly calibration: string;
  /** Where candidates are made. */
  readonly folder: string;
  readonly original: WarmScorer;
  readonly before: readonly Answer[];
}

const tell = (line: string) => process.stderr.write(`${line}\n`);
const log = makeLogger({ role: 'optimize', level: 'silent' });

/**
 * Makes a new version of a model, if one is good enough.
 * @throws ScorelineError
 */
export async function optimizeModel(
  parameters: readonly string[],
  { directory, say, packages }: Surroundings,
): Promise<void> {
  const { name, wishes } = readWishes(parameters);
  const model = modelIn(directory, name, wishes.from);
  if (model.manifest.engine !== 'onnx') {
    throw wrong(`${name}: expected a model with engine: onnx; got one of ${model.manifest.engine}`);
  }
  const wanted = wishes.version ?? (wishes.method && versionOf(model, wishes.method));
  if (wanted) refuseTaken({ model, place: path.join(directory, name) }, wanted);
  await verifyFiles(model);
  await withFolder(directory, 'optimizing', (folder) =>
    optimizeIn(folder, { model, wishes, directory, say, packages }),
  );
}

async function optimizeIn(
  folder: string,
  given: Surroundings & { model: Model; wishes: Wishes },
): Promise<void> {
  const { model, wishes, directory, say, packages } = given;
  const { compared, calibrating } = await readInputs(model, wishes);
  const original = await open(model, compared);
  const candidates: (Candidate | Failed)[] = [];
  try {
    const calibration = path.join(folder, 'calibration.ndjson');
    await writeInputs(
      calibration,
      await feedsOf(
        model,
        await networkInputs(model),
        calibrating.map(({ inputs }) => [inputs]),
      ),
    );
    tell(`${model.name}: the original answers ${compared.length} inputs`);
    const before = await answerAll(model, original, compared);
    const place = path.join(directory, model.name);
    const run = { model, wishes, place, compared, calibration, folder, original, before, packages };
    for (const method of wishes.method ? [wishes.method] : methods) {
      candidates.push(await makeCandidate(method, run));
    }
    const made = candidates.filter((each): each is Candidate => 'scorer' in each);
    const failed = candidates.filter((each): each is Failed => 'fault' in each);
    const measured = await measureAll(run, made);
    const chosen = choose(run, { made, measured, failed });
    const report = { ...describe(run, { measured, failed }), calibrated: calibrating.length };
    const written = 'reason' in chosen ? undefined : await keep(run, chosen, report);
    if (wishes.isJson)
      say(
        JSON.stringify({
          ...report,
          written: written?.folder,
          reason: 'reason' in chosen ? chosen.reason : undefined,
        }),
      );
    else show(run, { measured, failed, say });
    if (written) tellNext(model, { ...written, say: wishes.isJson ? tell : say });
    else if ('reason' in chosen) {
      if (wishes.method) throw wrongFile(chosen.reason);
      tell(chosen.reason);
    }
  } finally {
    for (const each of candidates) if ('scorer' in each) await each.scorer.close();
    await original.close();
  }
}

function readWishes(parameters: readonly string[]): { name: string; wishes: Wishes } {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { name, values } = readOptions(parameters, {
    usage: optimizeUsage,
    options: {
      ...{ method: text, inputs: text, calibration: text, version: text, keep: text },
      ...{ ranges: text, from: text },
      agreement: { ...text, default: '0.99' },
      seconds: { ...text, default: '6' },
      ...{ 'reduce-range': flag, json: flag },
    },
  });
  const { version, method } = values;
  if (version !== undefined && !versionPattern.test(version)) {
    throw wrong(`--version: ${versionExpected}; got ${version}`);
  }
  const wishes: Wishes = {
    method: method === undefined ? undefined : toChoice('method', method, methods),
    ...{ inputs: values.inputs, calibration: values.calibration, from: values.from, version },
    agreement: toNumber('agreement', values.agreement, { min: 0, max: 1 }),
    tuning: {
      reduceRange: values['reduce-range'],
      keep: values.keep?.split(',').map((each) => each.trim()) ?? [],
    },
    ranges: values.ranges === undefined ? ranges : [toChoice('ranges', values.ranges, ranges)],
    seconds: toNumber('seconds', values.seconds, { min: 0.01, max: 600 }),
    isJson: values.json,
  };
  return { name, wishes };
}

function versionOf({ version }: Model, method: Method): string {
  return `${version}-${method}`.slice(0, 32);
}

function refuseTaken({ model, place }: { model: Model; place: string }, wanted: string): void {
  const { name, version } = model;
  if (!existsSync(path.join(place, wanted)) && wanted !== version) return;
  throw wrong(
    `${name}: expected a new version; there is a ${wanted} already. Name another: --version V`,
  );
}

/** Returns the inputs that are compared, and those from which ranges are found: others, where there are enough. */
async function readInputs(
  model: Model,
  { inputs, calibration }: Wishes,
): Promise<{ compared: readonly ModelInput[]; calibrating: readonly ModelInput[] }> {
  const apart = calibration === undefined ? undefined : await readModelInputs(model, calibration);
  if (inputs !== undefined) {
    const all = await readModelInputs(model, inputs);
    if (apart) return { compared: all, calibrating: apart };
    if (all.length < 4) return { compared: all, calibrating: all };
    tell(`${model.name}: every other input of ${inputs} calibrates, the others are compared`);
    return {
      compared: all.filter((_, at) => at % 2 === 1),
      calibrating: all.filter((_, at) => at % 2 === 0),
    };
  }
  const example = await readExample(model);
  if (!example) {
    throw wrong(
      `${model.name}: expected inputs to calibrate and to compare with; its manifest has no example. Give some: --inputs FILE.ndjson, with {"input": …} in each line, or --inputs FOLDER, with pictures`,
    );
  }
  tell(
    `${model.name}: only the example is compared, which says little. Give more: --inputs FILE.ndjson|FOLDER`,
  );
  return { compared: [example], calibrating: apart ?? [example] };
}

function open(model: Model, [sample]: readonly ModelInput[]): Promise<WarmScorer> {
  return openScorer(model, log, {
    rehearse: makeRehearse(),
    onLost: endIfHung(model.name),
    ...(sample && { sample: sample.inputs }),
  });
}

/** Makes a candidate. With static ranges, it tries one way after the other until the answers agree. */
async function makeCandidate(method: Method, run: Run): Promise<Candidate | Failed> {
  const [first, ...others] = run.wishes.ranges;
  let best = await attempt(method, first as Tuning['ranges'], run);
  for (const how of method === 'int8' ? others : []) {
    if (agreementOf(best) >= run.wishes.agreement) break;
    const next = await attempt(method, how, run);
    const isBetter = agreementOf(next) > agreementOf(best);
    const worse = isBetter ? best : next;
    if ('scorer' in worse) await worse.scorer.close();
    if (isBetter) best = next;
  }
  return best;
}

function agreementOf(candidate: Candidate | Failed): number {
  return 'fault' in candidate ? -1 : candidate.comparison.agreement;
}

/** Makes the folder of a candidate, and compares its answers. */
async function attempt(
  method: Method,
  how: Tuning['ranges'],
  run: Run,
): Promise<Candidate | Failed> {
  const { model, wishes, folder, calibration, compared, before, packages } = run;
  tell(`${model.name}: ${method}${method === 'int8' ? `, ranges by ${how}` : ''}`);
  const directory = path.join(folder, `${method}-${how}`);
  mkdirSync(directory);
  const target = path.join(directory, 'model.onnx');
  const files = { source: model.file, target, inputs: calibration };
  const outcome = await transform(method, files, { ...wishes.tuning, ranges: how, packages });
  if ('fault' in outcome) return { method, fault: outcome.fault };
  const version = wishes.version ?? versionOf(model, method);
  const made = copyManifest(model, directory, await editsFor(target, version));
  renameSync(target, path.join(made, 'model.onnx'));
  copyTokenizer(model, made);
  let scorer: WarmScorer | undefined;
  try {
    const candidate = modelIn(directory, model.name);
    scorer = await open(candidate, compared);
    // Dynamic ranges are those of the whole batch.
    await checkBatchMates(candidate, scorer);
    const answers = await answerAll(candidate, scorer, compared);
    const comparison = compareAnswers(model, compared, { before, after: answers });
    const { changed } = outcome;
    return { method, ranges: how, model: candidate, scorer, answers, comparison, changed };
  } catch (thrown) {
    await scorer?.close();
    if (!(thrown instanceof ScorelineError)) throw thrown;
    return { method, fault: thrown.message };
  }
}

function copyTokenizer(model: Model, folder: string): void {
  const { source } = model.manifest;
  const name = source.engine === 'onnx' ? source.tokenizer?.file : undefined;
  const from = filesOf(model).find(({ file }) => file === name)?.path;
  if (name === undefined || from === undefined) return;
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  copyFileSync(from, path.join(folder, name));
}

/** Returns the inputs of the network in the file, which takes tokens where the model takes texts. */
async function networkInputs({ name, file, manifest }: Model): Promise<readonly TensorValue[]> {
  const { device, runMsMax } = manifest;
  const engine = await openOnnxEngine({ file, device }, { runMsMax, onLost: endIfHung(name) });
  await engine.close();
  return engine.inputs;
}

async function editsFor(file: string, version: string): Promise<Edit[]> {
  return [
    [['version'], version],
    [['source', 'file'], 'model.onnx'],
    [['source', 'bytes'], statSync(file).size],
    [['source', 'sha256'], await sha256Of(file)],
    [['source', 'urls'], undefined],
    [['source', 'externalData'], undefined],
  ];
}

/** Measures the original and the candidates in turn, alone and in full batches. */
async function measureAll(
  { model, wishes, original, before, compared }: Run,
  made: readonly Candidate[],
): Promise<Measured[]> {
  const { max } = model.manifest.batch;
  tell(`${model.name}: speed, alone and ${max} at once`);
  const scorers = [original, ...made.map(({ scorer }) => scorer)];
  const item = {
    inputs: (compared[0] as ModelInput).inputs,
    top: model.labels.length > 0 ? 1 : undefined,
  };
  const options = { seconds: wishes.seconds / 2, rounds };
  const alone = await compareSpeeds(scorers, [item], options);
  const full = max === 1 ? alone : await compareSpeeds(scorers, new Array(max).fill(item), options);
  return scorers.map((scorer, at) => {
    const candidate = made[at - 1];
    return {
      method: candidate?.method ?? 'original',
      bytes: describedBytes((candidate?.model ?? model).manifest.source),
      loadMs: scorer.loadMs,
      alone: alone[at] as Speed,
      full: full[at] as Speed,
      accuracy: judge(compared, candidate?.answers ?? before),
      comparison: candidate?.comparison,
    };
  });
}

/** Chooses the fastest candidate that agrees, or says why there is none. */
function choose(
  { model, wishes }: Run,
  {
    made,
    measured,
    failed,
  }: {
    made: readonly Candidate[];
    measured: readonly Measured[];
    failed: readonly Failed[];
  },
): Candidate | { readonly reason: string } {
  const nothing = 'Nothing was written.';
  if (made.length === 0) {
    const faults = failed.map(({ method, fault }) => `${method}: ${fault}`);
    return { reason: `${model.name}: ${faults.join('; ')}. ${nothing}` };
  }
  const agreeing = made.filter(({ comparison }) => comparison.agreement >= wishes.agreement);
  if (agreeing.length === 0) {
    const figures = made.map(
      ({ method, comparison }) => `${method} ${show4(comparison.agreement)}`,
    );
    return {
      reason: `${model.name}: expected an agreement of at least ${wishes.agreement}; got ${figures.join(', ')}. ${nothing} More calibration inputs, --ranges or --keep may help, or ask for less: --agreement`,
    };
  }
  if (wishes.method) return agreeing[0] as Candidate;
  const speedOf = (method: string) =>
    measured.find((each) => each.method === method)?.full.perSecond ?? 0;
  const [best] = agreeing
    // Floats of 16 bits are for GPUs, and their speed here says nothing.
    .filter(({ method }) => method !== 'fp16' || model.manifest.device.type !== 'cpu')
    .toSorted((a, b) => speedOf(b.method) - speedOf(a.method));
  if (best && speedOf(best.method) >= gainMin * speedOf('original')) return best;
  return {
    reason: `${model.name}: no candidate that agrees to ${wishes.agreement} is ${gainMin} times as fast as the original. ${nothing} To write one all the same, name it: --method`,
  };
}

/** Writes the report and the new answer to the example, and puts the candidate in its place. */
async function keep(
  { model, place, compared }: Run,
  candidate: Candidate,
  report: object,
): Promise<{ folder: string; version: string }> {
  const { folder: made, version } = candidate.model;
  const folder = path.join(place, version);
  const edits = [...movedTo(model, folder), ...(await exampleEdits(candidate, compared))];
  writeFileSync(manifestFile(candidate.model), editManifest(candidate.model, edits));
  const { method, ranges: how, changed } = candidate;
  const content = { method, ...(method === 'int8' && { ranges: how }), changed, ...report };
  writeFileSync(path.join(made, 'optimization.json'), `${JSON.stringify(content, null, 2)}\n`);
  refuseTaken({ model, place }, version);
  keepTraffic(path.dirname(place), model.name);
  renameSync(made, folder);
  return { folder, version };
}

/** The score of the example differs a little, and `check` compares with what the manifest expects. */
async function exampleEdits(
  { model, scorer }: Candidate,
  compared: readonly ModelInput[],
): Promise<Edit[]> {
  const expected = scoresExampleOf(model.manifest)?.expected;
  const example = await readExample(model);
  if (!expected || !example) return [];
  const known = compared.find(({ name }) => name === example.name);
  const [answer] = await answerAll(model, scorer, [known ?? example]);
  const [scores] = answer as Answer;
  if (expected.value !== undefined) return [[['example', 'expected', 'value'], round(scores?.[0])]];
  const best = bestOf(answer as Answer);
  if (model.labels[best]?.text !== expected.label) {
    throw wrongFile(
      `${model.name}: example: expected ${JSON.stringify(expected.label)}; the ${model.version} answers ${JSON.stringify(model.labels[best]?.text)}. Nothing was written.`,
    );
  }
  return expected.score === undefined
    ? []
    : [[['example', 'expected', 'score'], round(scores?.[best])]];
}

const round = (value = 0) => Number(value.toPrecision(4));
