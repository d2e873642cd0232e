// `npm run score -- MODEL FILE.ndjson | FOLDER`: scores the lines of a file, or the pictures or other files of a folder.
//
// The answers go to standard output or to a file, a line for each input, in the order of finishing. Everything else
// goes to standard error. A run that is stopped goes on where it was, if it is told where its answers are.

import path from 'node:path';
import process from 'node:process';
import { Presets, SingleBar } from 'cli-progress';
import { problemOf } from '../shared/errors.js';
import { listed } from '../shared/listed.js';
import { localAddress } from './addresses.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { misused, wrong } from './faults.js';
import { toNumber } from './numbers.js';
import {
  type Answers,
  type Batch,
  type Done,
  keyOf,
  openFile,
  openOutput,
  readDone,
  writeLine,
} from './scoring/answers.js';
import { makeGroups } from './scoring/groups.js';
import {
  type CommandInput,
  describe,
  type Inputs,
  kindOfInputs,
  openInputs,
} from './scoring/inputs.js';
import { type CommandAnswer, Service } from './scoring/service.js';

const usage = `Usage: npm run score -- MODEL FILE.ndjson | FOLDER [OPTION …]

  FILE.ndjson  a JSON object in each line: {"input": …}, and "id", "top", "deadlineMs" if you like
  FOLDER       pictures, in folders within it too; any files for a model that takes files

  --url URL        the service; ${localAddress} if not given
  --key KEY        an API key or access token; better in the environment variable SCORELINE_KEY
  --out FILE       write the answers there, and go on where an earlier run stopped
  --resume FILE    leave out what has an answer in FILE; answers go to standard output
  --top N          how many of the best classes to answer with
  --concurrency N  how many inputs are in flight, within the limits of the key; 64, or 16 files, if not given
  --tries N        how often an input is sent while the service is busy or away; 20 if not given`;

/** How many inputs are in flight if nobody says. Files are large. */
const concurrencyDefault = { lines: 64, files: 16 };

/** How soon the log is told how far the run is, and the longest pause until it is told again. */
const toldAfterMs = 5000;
const toldPauseMsMax = 300_000;

const say = (line: string) => process.stderr.write(`${line}\n`);

await runCommand(usage, () => score(readOptions()));

type Options = ReturnType<typeof readOptions>;

interface Tally {
  scored: number;
  failed: number;
  /** Inputs that an earlier run has scored. */
  kept: number;
  readonly total: number;
  /** The first input that failed, for the summary. */
  example: string | undefined;
  /** Versions of the model that were not served when the command started. */
  readonly newVersions: Set<string>;
}

async function score(options: Options): Promise<void> {
  const startedAt = performance.now();
  const { place, top } = options;
  const kind = await kindOfInputs(place);
  const concurrency = options.concurrency ?? concurrencyDefault[kind];
  const service = await Service.open({ ...options, concurrency }, kind);
  const isOfPictures = service.inputKind !== 'file';
  const inputs = await openInputs(place, { kind, top, isOfPictures });
  warnOfLeftOut(inputs);
  const { answers, done } = await openAnswers(options, { inputs, model: service.model });
  const tally: Tally = {
    scored: 0,
    failed: 0,
    kept: 0,
    total: await inputs.count(),
    example: undefined,
    newVersions: new Set(),
  };
  let stopTelling = () => {};
  try {
    const bar = startBar(tally);
    if (!bar) stopTelling = startTelling(tally);
    await scoreAll(inputs, { service, answers, done, tally, bar });
  } finally {
    stopTelling();
    answers.close();
    say(summarise(tally, options, (performance.now() - startedAt) / 1000));
    warnOfNewVersions(tally);
  }
  if (tally.failed > 0) process.exitCode = 1;
}

async function openAnswers(
  { out, resume, place }: Options,
  batch: Batch,
): Promise<{ answers: Answers; done: Done }> {
  if (out === undefined) {
    warnOfBanner();
    const done = resume === undefined ? new Set<string>() : await readDone(resume, batch);
    return { answers: openOutput(resume), done };
  }
  if (path.resolve(out) === path.resolve(place)) {
    throw wrong(`--out: expected another file than that of the inputs; got ${out}`);
  }
  const answers = await openFile(out, batch);
  if (answers.replaced > 0) {
    say(
      `${out}: ${answers.replaced} answers are to other inputs, or from another model, version or --top. They are replaced.`,
    );
  }
  return { answers, done: answers.done };
}

interface Run {
  readonly service: Service;
  readonly answers: Answers;
  readonly done: Done;
  readonly tally: Tally;
  readonly bar: SingleBar | undefined;
}

/** @throws ScorelineError when it makes no sense to go on; what is in flight then has been written */
async function scoreAll(inputs: Inputs, run: Run): Promise<void> {
  const { service, bar } = run;
  const inFlight = new Map<Promise<void>, number>();
  const half = Math.max(1, Math.floor(service.concurrency / 2));
  // Each file has a request of its own.
  const groupMax = inputs.kind === 'files' ? 1 : half;
  let fault: { readonly thrown: unknown } | undefined;
  try {
    for await (const group of makeGroups(readWaiting(inputs, run), groupMax)) {
      if (fault) break;
      const scoring = service
        .scoreGroup(group, (input, answer) => deliver(input, answer, run))
        .catch((thrown) => {
          fault ??= { thrown };
        })
        .finally(() => inFlight.delete(scoring));
      inFlight.set(scoring, group.length);
      while (isBusy(inFlight, groupMax, service)) await Promise.race(inFlight.keys());
    }
    await Promise.all(inFlight.keys());
  } finally {
    bar?.stop();
  }
  if (fault) throw fault.thrown;
}

/** Whether another group has to wait. */
function isBusy(
  inFlight: ReadonlyMap<unknown, number>,
  groupMax: number,
  { concurrency }: Service,
): boolean {
  const inputs = [...inFlight.values()].reduce((sum, count) => sum + count, 0);
  return inputs + groupMax > concurrency;
}

/** Reads the inputs that are to be sent. The others are kept, or fail at once. */
async function* readWaiting(inputs: Inputs, run: Run): AsyncGenerator<CommandInput> {
  const { done, tally, service, bar } = run;
  for await (const input of inputs.read()) {
    if (done.has(keyOf(input, service.model))) {
      tally.kept++;
      bar?.increment();
    } else if (input.fault) await deliver(input, { problem: problemOf(input.fault) }, run);
    else yield input;
  }
}

async function deliver(
  input: CommandInput,
  answer: CommandAnswer,
  { answers, tally, bar, service }: Run,
): Promise<void> {
  await answers.write(writeLine(input, answer));
  if (answer.problem === undefined) {
    tally.scored++;
    const version = String(answer.version);
    if (!service.model.versions.includes(version)) tally.newVersions.add(version);
  } else {
    tally.failed++;
    tally.example ??= `${describe(input)}: ${detailOf(answer)}`;
  }
  bar?.increment({ failed: tally.failed });
}

/** Only a terminal can show a bar. */
function startBar({ total }: Tally): SingleBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  const bar = new SingleBar(
    {
      format: '{bar} {percentage}% {value}/{total} inputs, {failed} failed, {eta_formatted} left',
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0, { failed: 0 });
  return bar;
}

/** Says how far the run is, more and more seldom. Returns what ends that. */
function startTelling(tally: Tally): () => void {
  let timer: NodeJS.Timeout;
  const tellAfter = (ms: number) => {
    timer = setTimeout(() => {
      const { scored, failed, kept, total } = tally;
      say(`${scored + failed + kept} of ${total} inputs, ${failed} failed`);
      tellAfter(Math.min(2 * ms, toldPauseMsMax));
    }, ms);
  };
  tellAfter(toldAfterMs);
  return () => clearTimeout(timer);
}

function summarise({ scored, failed, kept, example }: Tally, { out }: Options, seconds: number) {
  const before = kept > 0 ? `, ${kept} had been before` : '';
  const counts = `${scored} scored, ${failed} failed${before}, in ${seconds.toFixed(1)} s.`;
  if (example === undefined) return counts;
  return `${counts} The lines with "problem" in ${out ?? 'the output'} say which and why. The first is ${example}`;
}

function warnOfNewVersions({ newVersions }: Tally): void {
  if (newVersions.size === 0) return;
  const named = [...newVersions].join(', ');
  say(
    `The model has changed during the run: some answers are from version ${named}. The same command again replaces those of the version before.`,
  );
}

function detailOf({ problem }: CommandAnswer): string {
  const { detail, title } = problem as { detail?: unknown; title?: unknown };
  return String(detail ?? title);
}

/** npm prints the name of the command before its output. */
function warnOfBanner(): void {
  const isByNpm = process.env.npm_lifecycle_event !== undefined;
  if (!isByNpm || process.stdout.isTTY || process.env.npm_config_loglevel === 'silent') return;
  say(
    'npm has written lines of its own into the output. Use --out FILE, or npm run --silent score.',
  );
}

function warnOfLeftOut({ brokenLinks, others }: Inputs): void {
  sayLeftOut('these links lead nowhere', brokenLinks);
  sayLeftOut('their names are not those of pictures', others);
}

function sayLeftOut(reason: string, names: readonly string[]): void {
  if (names.length === 0) return;
  say(`Left out, because ${reason}: ${listed(names, 5)}`);
}

function readOptions() {
  const { values, positionals } = readArguments();
  const [model, place, ...others] = positionals;
  if (model === undefined || place === undefined || others.length > 0)
    throw misused(positionals, usage);
  if (values.out !== undefined && values.resume !== undefined) {
    throw wrong('Expected --out or --resume; got both. --out goes on where its file stops.');
  }
  const counts = { min: 1, max: 1000, isWhole: true };
  return {
    model,
    place,
    url: values.url ?? localAddress,
    key: values.key ?? (process.env.SCORELINE_KEY || undefined),
    out: values.out,
    resume: values.resume,
    top: values.top,
    concurrency:
      values.concurrency === undefined
        ? undefined
        : toNumber('concurrency', values.concurrency, counts),
    triesMax: toNumber('tries', values.tries ?? '20', counts),
  };
}

function readArguments() {
  const text = { type: 'string' } as const;
  return parseArguments({
    allowPositionals: true,
    options: {
      ...{ url: text, key: text, out: text, resume: text, top: text },
      ...{ concurrency: text, tries: text },
    },
  });
}
