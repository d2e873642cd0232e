// From a trained model to a served answer: adds what the training programs here have written, serves it, and compares
// each answer with that of the original.

import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { runCommand } from '../command.js';
import { ask, openRedis, post, root, startService } from '../harness.js';

/** held-out.json of test/exporters/held_out.py */
interface HeldOut {
  readonly file: string;
  readonly what: string;
  readonly data: string;
  readonly ask: 'json' | 'png' | 'tensors';
  /** Null for numbers, which name themselves. */
  readonly labels: readonly string[] | null;
  readonly flags: readonly string[];
  readonly cases: readonly { readonly input: unknown; readonly scores: readonly number[] }[];
}

export interface Parity {
  readonly name: string;
  readonly what: string;
  /** The data set, and how many of its rows were asked. */
  readonly data: string;
  /** As a share of the largest number of the original's row. */
  readonly difference: number;
  /** How often the best class was another one. */
  readonly otherBest: number;
  /** What `models add` printed. */
  readonly said: string;
}

const askedAtOnce = 8;

/** Runs a training program, in the environment of a list of packages. */
export function train(packages: string, program: string, parameters: string[]): Promise<number> {
  const start = [path.join(root, 'dist/cli/python.js'), packages, `test/exporters/${program}`];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...start, ...parameters], {
      cwd: root,
      stdio: 'inherit',
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

/** Adds and asks each model in the folder. `python` exports them, if it is given. */
export async function measureParity(folder: string, python?: string): Promise<Parity[]> {
  const names = readdirSync(folder).filter((name) =>
    statSync(path.join(folder, name)).isDirectory(),
  );
  const directory = path.join(folder, '..', 'models');
  mkdirSync(directory);
  const models = names.map((name) => ({ name, heldOut: readHeldOut(path.join(folder, name)) }));
  const said = new Map<string, string>();
  await inTurns(models, 2, async ({ name, heldOut }) => {
    const file = path.join(folder, name, heldOut.file);
    const flags = [...heldOut.flags, ...(python ? ['--python', python] : [])];
    said.set(name, await addTo(directory, [file, '--name', name, '--export', ...flags]));
  });
  const redis = await openRedis();
  const service = await startService({
    redisUrl: redis.url,
    models: names.join(),
    environment: { MODELS_DIR: directory, SHUTDOWN_MS: '2000' },
  });
  try {
    const found: Parity[] = [];
    for (const { name, heldOut } of models) {
      const compared = await compare(`${service.url}`, name, heldOut);
      const { what, data } = heldOut;
      found.push({ name, what, data, ...compared, said: said.get(name) ?? '' });
    }
    return found;
  } finally {
    await service.close();
    await redis.close();
  }
}

/** Returns the rows of a table in Markdown. */
export function formatParities(parities: readonly Parity[]): string {
  const rows = parities.map(
    ({ name, what, data, difference, otherBest }) =>
      `| \`${name}\` | ${what} | ${data} | ${difference.toExponential(1)} | ${otherBest} |`,
  );
  const head = '| model | what | held-out data, rows | largest difference | other best class |';
  return [head, '|---|---|---|---|---|', ...rows].join('\n');
}

function readHeldOut(folder: string): HeldOut {
  return JSON.parse(readFileSync(path.join(folder, 'held-out.json'), 'utf8'));
}

/** Adds a model to a folder of models, and returns what the command printed. */
export async function addTo(directory: string, parameters: string[]): Promise<string> {
  const env = { MODELS_DIR: directory };
  const { code, out, err } = await runCommand('models', ['add', ...parameters], { env });
  if (code !== 0) throw new Error(`models add ${parameters.join(' ')}:\n${out}${err}`);
  return out;
}

async function compare(url: string, model: string, heldOut: HeldOut) {
  let difference = 0;
  let otherBest = 0;
  await inTurns(heldOut.cases, askedAtOnce, async ({ input, scores }) => {
    const served = await scoresOf(url, model, input, heldOut);
    // Of a thousand classes, the best may have a score of 0.01.
    const scale = Math.max(...scores.map(Math.abs)) || 1;
    if (served.length !== scores.length) throw new Error(`${model}: ${served.length} scores`);
    const apart = scores.map((score, at) => Math.abs(score - (served[at] as number)) / scale);
    // NaN is no number that could be compared.
    difference = Math.max(
      difference,
      ...apart.map((value) => (Number.isNaN(value) ? Infinity : value)),
    );
    if (indexOfBest(served) !== indexOfBest(scores)) otherBest += 1;
  });
  return { difference, otherBest };
}

/** Asks for an input, and returns the scores in the order of the labels. */
async function scoresOf(url: string, model: string, input: unknown, heldOut: HeldOut) {
  if (heldOut.ask === 'tensors') return askTensors(url, model, input as number[]);
  const top = heldOut.cases[0]?.scores.length as number;
  const score = `${url}/v1/models/${model}/score`;
  const isRegression = top === 1;
  const { status, body } =
    heldOut.ask === 'png'
      ? await ask(`${score}?top=${top}`, {
          method: 'POST',
          headers: { 'content-type': 'image/png' },
          body: Buffer.from(input as string, 'base64'),
        })
      : await post(score, { input, ...(isRegression ? {} : { top }) });
  if (status !== 200) throw new Error(`${model}: ${status} ${JSON.stringify(body)}`);
  const predictions: { label: string; score: number; value: number; id: string }[] =
    body.predictions;
  if (isRegression) return predictions.map(({ value }) => value);
  const labels = heldOut.labels ?? Array.from({ length: top }, (_, at) => `class ${at}`);
  return labels.map((label) => predictions.find((found) => found.label === label)?.score ?? NaN);
}

async function askTensors(url: string, model: string, data: number[]): Promise<number[]> {
  const described = await ask(`${url}/v2/models/${model}`);
  const [{ name, datatype, shape }] = described.body.inputs;
  const inputs = [{ name, datatype, shape: [1, ...shape.slice(1)], data }];
  const { status, body } = await post(`${url}/v2/models/${model}/infer`, { inputs });
  if (status !== 200) throw new Error(`${model}: ${status} ${JSON.stringify(body)}`);
  return body.outputs[0].data;
}

function indexOfBest(scores: readonly number[]): number {
  return scores.indexOf(Math.max(...scores));
}

/** Does something with each of several items, a few at a time. */
export async function inTurns<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const lines = Array.from({ length: atOnce }, async () => {
    for (const item of rest) await work(item);
  });
  await Promise.all(lines);
}
