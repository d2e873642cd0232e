// `npm run faq -- FILE.csv|.json|.md --name NAME`: makes a served FAQ of somebody's questions and answers.

import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Presets, SingleBar } from 'cli-progress';
import { trainClassifier } from '../faq/classifier.js';
import { embed } from '../faq/embed.js';
import type { Entry } from '../faq/entries.js';
import { evaluate, hasParaphrases, type Measures } from '../faq/evaluate.js';
import { checkBase, isFaqFolder, writeFolder } from '../faq/folder.js';
import { makeGraph } from '../faq/head.js';
import { listTexts, listTwins, type Members, type MemberText } from '../faq/members.js';
import { readFaq } from '../faq/read.js';
import { nameExpected, namePattern } from '../shared/manifest/manifest.js';
import { type Model, readModels } from '../shared/registry/models.js';
import { packageDirectory } from '../shared/version.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { sayHowToAsk } from './curl-line.js';
import { misused, wrong } from './faults.js';
import { checkModel } from './models/check.js';
import { modelIn } from './models/copy.js';
import { modelsDirectory as directory } from './models/directory.js';
import { pull } from './models/pull.js';
import { toNumber } from './numbers.js';

const usage =
  'Usage: npm run faq -- FILE.csv|FILE.json|FILE.md --name NAME [--train] [--evaluate] [--threshold SCORE] [--replace]';
const baseName = 'minilm';
/** Nine of ten right answers to the FAQs of docs/faq.md are above it. */
const defaultThreshold = 0.35;

const say = (line: string) => process.stdout.write(`${line}\n`);
const complain = (line: string) => process.stderr.write(`${line}\n`);

await runCommand(usage, () => main(readWishes()));

interface Wishes {
  readonly file: string;
  readonly name: string;
  readonly isTrained: boolean;
  readonly isEvaluated: boolean;
  readonly threshold: number;
  readonly isReplaced: boolean;
}

async function main(wishes: Wishes): Promise<void> {
  const { file, name, isTrained, isEvaluated, threshold } = wishes;
  const entries = readFaq(file, complain);
  const folder = folderFor(wishes);
  const texts = listTexts(entries);
  say(`${file}: ${entries.length} questions, ${texts.length - 2 * entries.length} paraphrases`);

  const base = baseModel();
  const dimension = checkBase(base);
  await pull(base, { say: () => {}, complain });
  const members = await embedAll(base, texts, dimension);
  sayTwins(members, texts, base.name);
  if (isEvaluated) report(members, texts, { questions: entries.length, isTrained });

  const classifier = isTrained ? trainClassifier(members, entries.length) : undefined;
  const head = { members, questions: entries.length, classifier, threshold };
  const graph = makeGraph(base.file, head);
  await writeFolder(base, { name, folder, description: describe(file, entries), entries, graph });
  const model = modelIn(directory, name);
  await checkModel(model, say);
  say(`It is in ${folder}.`);
  sayHowToAsk(model, say);
}

function readWishes(): Wishes {
  const { values, positionals } = parse();
  const [file, ...others] = positionals;
  const { name } = values;
  if (file === undefined || others.length > 0 || name === undefined)
    throw misused(process.argv.slice(2), usage);
  if (!namePattern.test(name)) {
    throw wrong(`--name: ${nameExpected}; got ${JSON.stringify(name)}`);
  }
  const scores = { min: 0, max: 0.999, note: 'as scores are' };
  const threshold = toNumber('threshold', values.threshold ?? String(defaultThreshold), scores);
  return {
    ...{ file, name, threshold },
    isTrained: values.train ?? false,
    isEvaluated: values.evaluate ?? false,
    isReplaced: values.replace ?? false,
  };
}

function parse() {
  return parseArguments({
    allowPositionals: true,
    options: {
      name: { type: 'string' },
      train: { type: 'boolean' },
      evaluate: { type: 'boolean' },
      threshold: { type: 'string' },
      replace: { type: 'boolean' },
    },
  });
}

function folderFor({ name, isReplaced }: Wishes): string {
  const folder = path.join(directory, name);
  const isOurs = isFaqFolder(folder);
  if (!existsSync(folder) || (isReplaced && isOurs)) return folder;
  throw wrong(
    `--name: expected a name that no model has; ${folder} exists. ${isOurs ? 'With --replace, it is written anew.' : 'Choose another.'}`,
  );
}

function baseModel(): Model {
  if (!existsSync(path.join(directory, baseName))) {
    const own = path.join(packageDirectory(), 'models', baseName);
    throw wrong(
      `MODELS_DIR: expected a folder with the model ${baseName}, which compares questions; got ${directory}, which has none. Copy it there: cp -r ${JSON.stringify(own)} ${JSON.stringify(directory)}`,
    );
  }
  const [model] = readModels({ directory, names: [baseName], filesNeeded: false });
  return model as Model;
}

async function embedAll(
  base: Model,
  texts: readonly MemberText[],
  dimension: number,
): Promise<Members> {
  const bar = new SingleBar(
    {
      format: 'embedding {bar} {value}/{total} texts, {eta} s left',
      noTTYOutput: true,
      notTTYSchedule: 5000,
    },
    Presets.shades_classic,
  );
  bar.start(texts.length, 0);
  try {
    const vectors = await embed(
      base,
      texts.map(({ text }) => text),
      { dimension, onProgress: (done) => bar.update(done) },
    );
    return { dimension, vectors, questions: texts.map(({ question }) => question) };
  } finally {
    bar.stop();
  }
}

function sayTwins(members: Members, texts: readonly MemberText[], name: string): void {
  const twins = listTwins(members, texts);
  for (const [one, other] of twins.slice(0, 10)) {
    complain(
      `${JSON.stringify(one.text)} and ${JSON.stringify(other.text)} are the same to ${name}, so either can be answered by the other. Say one in other words, or add paraphrases.`,
    );
  }
  if (twins.length > 10) complain(`… and ${twins.length - 10} more such pairs.`);
}

function report(
  members: Members,
  texts: readonly MemberText[],
  { questions, isTrained }: { questions: number; isTrained: boolean },
): void {
  say(
    hasParaphrases(texts)
      ? 'Each paraphrase asked, while a fifth of them, it included, was left out:'
      : 'No paraphrases, so each question was asked of the answers alone:',
  );
  say('              right first   in first 3   mean rank   threshold   false answers');
  const line = (name: string, measures: Measures) => {
    const { accuracyAt1, accuracyAt3, meanRank, threshold, falseAnswers } = measures;
    const cells = [accuracyAt1, accuracyAt3, meanRank, threshold, falseAnswers];
    say(`${name.padEnd(14)}${cells.map((cell) => cell.toFixed(3).padEnd(13)).join('')}`);
  };
  line('semantic', evaluate(members, texts, { questions, isTrained: false }));
  if (isTrained) line('with training', evaluate(members, texts, { questions, isTrained: true }));
  say(
    'Above the threshold are 90 % of the right answers. False answers: the share of questions that the FAQ does not have, and that are above it, too. Set it with --threshold.',
  );
}

function describe(file: string, entries: readonly Entry[]): string {
  return `Answers ${entries.length} questions, from ${path.basename(file)}.`;
}
