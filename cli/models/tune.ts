// `npm run models -- tune NAME --p99 MS`: finds the settings of a model for a latency goal, on this machine.
//
// 1. Threads and batch sizes, with the worker's engine alone. A batch is too large if two of its runs take longer
//    than the goal: an item waits for the run under way and then for its own.
// 2. How many clients can ask at once, through the real path with these settings, until the p99 is above the goal.
//    That many unanswered items are what a worker can have: `scaling.itemsPerWorker`.
// 3. Whether an idle engine should wait for a batch to fill: `batch.waitMs`.
// 4. The same load with the settings of the manifest, for comparison.

import { writeFileSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline/promises';
import { Presets, SingleBar } from 'cli-progress';
import { describeMachine } from '../../bench/report.js';
import { countProcessors } from '../../shared/process/processors.js';
import type { Model } from '../../shared/registry/models.js';
import { wrong } from '../faults.js';
import { toNumber, toNumbers } from '../numbers.js';
import { withFolder } from '../temporary.js';
import { requireWritableFile } from '../writable.js';
import { editManifest, makeTrial, manifestFile, modelIn } from './copy.js';
import { type Level, showLevel, startLoaded } from './load.js';
import { readOptions } from './options.js';
import { cellEdits, measureGrid, takenSizes } from './tuning/grid.js';
import { drawTuning } from './tuning/plot.js';
import { type Cell, type Choice, chooseCell, chooseWait, isWithin } from './tuning/proposal.js';
import type { Edit } from './yaml-edit.js';

export const tuneUsage =
  'tune NAME --p99 MS [--version V] [--batches 1,2,4,8,16,32,64] [--threads 1,2] [--seconds 1] [--clients-max 256] [--plot FILE.svg] [--write] [--json]';

type Wishes = ReturnType<typeof readWishes>['wishes'];

/** A load with the settings that a model had. */
interface Trial extends Level {
  readonly waitMs: number;
}

interface Proposal {
  readonly choice: Choice;
  readonly levels: readonly Level[];
  readonly waits: readonly Trial[];
  /** The settings of the manifest under the same load. */
  readonly now: Level;
  readonly best: Trial;
  readonly itemsPerWorker: number;
}

/** @throws ScorelineError */
export async function tuneModel(
  parameters: readonly string[],
  { directory, say }: { directory: string; say: (line: string) => void },
): Promise<void> {
  const { name, wishes } = readWishes(parameters);
  const model = modelIn(directory, name, wishes.version);
  if (wishes.plot !== undefined) requireWritableFile('--plot', wishes.plot);
  const bar = startBar(name);
  let cells: Cell[];
  let proposal: Proposal;
  try {
    const sizes = await takenSizes(model, wishes.batches);
    const threads = model.manifest.engine === 'onnx' ? wishes.threads : [1];
    bar.plan(threads.length * sizes.length + loadSteps);
    cells = await measureGrid(model, {
      ...{ threads, sizes, seconds: wishes.seconds, goalMs: wishes.goalMs },
      onCell: (cell) =>
        bar.step(cell ? `threads ${cell.threads}, batch ${cell.batch}` : 'too slow'),
    });
    proposal = await propose(model, cells, { wishes, step: bar.step });
  } finally {
    bar.stop();
  }
  const edits = editsOf(model, proposal);
  if (wishes.plot !== undefined)
    plot(model, wishes.plot, { cells, proposal, goalMs: wishes.goalMs });
  if (wishes.isJson) {
    const settings = Object.fromEntries(edits.map(([keys, value]) => [keys.join('.'), value]));
    say(
      JSON.stringify({
        model: name,
        version: model.version,
        goalMs: wishes.goalMs,
        cells,
        ...proposal,
        settings,
        ...describeMachine(),
      }),
    );
  } else show(model, { cells, proposal, goalMs: wishes.goalMs, edits, say });
  await offer(model, edits, { wishes, isWithin: isMet(proposal, wishes.goalMs) });
}

function readWishes(parameters: readonly string[]) {
  const cores = countProcessors();
  const powers = [1, 2, 4, 8, 16, 32, 64].filter((count) => count < cores);
  const { name, values } = readOptions(parameters, {
    usage: tuneUsage,
    options: {
      version: { type: 'string' },
      p99: { type: 'string' },
      batches: { type: 'string', default: '1,2,4,8,16,32,64' },
      threads: { type: 'string', default: [...powers, cores].join(',') },
      seconds: { type: 'string', default: '1' },
      'clients-max': { type: 'string', default: '256' },
      plot: { type: 'string' },
      write: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.p99 === undefined) {
    throw wrong(
      `Expected a latency goal: --p99 MS, the time in which 99 of 100 requests are answered, such as --p99 50.\nUsage: npm run models -- ${tuneUsage}`,
    );
  }
  const whole = (max: number) => ({ min: 1, max, isWhole: true });
  return {
    name,
    wishes: {
      version: values.version,
      goalMs: toNumber('p99', values.p99, { min: 1, max: 3_600_000 }),
      batches: toNumbers('batches', values.batches, whole(1024)),
      threads: toNumbers('threads', values.threads, whole(256)),
      seconds: toNumber('seconds', values.seconds, { min: 0.01, max: 60 }),
      clientsMax: toNumber('clients-max', values['clients-max'], whole(1024)),
      plot: values.plot,
      isWritten: values.write,
      isJson: values.json,
    },
  };
}

/** About as many as the load takes after the grid. */
const loadSteps = 12;

/** A bar at a terminal, and nothing elsewhere. */
function startBar(name: string) {
  const bar = new SingleBar(
    { format: `${name} {bar} {percentage}% {what}`, stream: process.stderr },
    Presets.shades_classic,
  );
  bar.start(100, 0, { what: 'loading' });
  return {
    plan: (steps: number) => bar.setTotal(steps),
    step: (what: string) => bar.increment(1, { what }),
    stop: () => bar.stop(),
  };
}

/** Measures the chosen cell under load. */
async function propose(
  model: Model,
  cells: readonly Cell[],
  { wishes, step }: { wishes: Wishes; step: (what: string) => void },
): Promise<Proposal> {
  const choice = chooseCell(cells, wishes.goalMs);
  const { goalMs } = wishes;
  const levels = await underLoad(model, cellEdits(model, choice.cell), async (measure) => {
    const found: Level[] = [];
    const take = async (clients: number) => {
      const level = await measure(clients, wishes.seconds);
      step(`${clients} clients`);
      found.push(level);
      return isWithin(level, goalMs);
    };
    let clients = 1;
    let isKept = await take(clients);
    while (isKept && clients < wishes.clientsMax) {
      clients = Math.min(2 * clients, wishes.clientsMax);
      isKept = await take(clients);
    }
    // Between the last number that was within the goal and the first that was not.
    if (!isKept && clients > 2) await take(Math.round(clients * 0.75));
    return found.toSorted((a, b) => a.clients - b.clients);
  });
  const kept = levels.filter((level) => isWithin(level, goalMs)).at(-1) ?? (levels[0] as Level);
  const itemsPerWorker = kept.clients;
  const waits: Trial[] = [{ waitMs: 0, ...kept }];
  for (const waitMs of waitsFor(model, { goalMs, itemsPerWorker })) {
    const edits = [...cellEdits(model, choice.cell), [['batch', 'waitMs'], waitMs] as const];
    const level = await underLoad(model, edits, (measure) =>
      measure(itemsPerWorker, wishes.seconds),
    );
    waits.push({ waitMs, ...level });
    step(`waiting ${waitMs} ms`);
  }
  const now = await underLoad(model, [], (measure) => measure(itemsPerWorker, wishes.seconds));
  step('the manifest as it is');
  const best = chooseWait(waits, goalMs) as Trial;
  return { choice, levels, waits, now, best, itemsPerWorker };
}

/** Short waits that leave most of the goal for the run. A client that is alone would wait for nobody. */
function waitsFor(
  { manifest }: Model,
  { goalMs, itemsPerWorker }: { goalMs: number; itemsPerWorker: number },
): number[] {
  if (manifest.batch.dimension === 'none' || itemsPerWorker === 1) return [];
  return [1, 5].filter((waitMs) => waitMs <= goalMs / 10);
}

async function underLoad<T>(
  model: Model,
  edits: readonly Edit[],
  act: (measure: (clients: number, seconds: number) => Promise<Level>) => Promise<T>,
): Promise<T> {
  return withFolder(os.tmpdir(), 'scoreline-tune', async (directory) => {
    const trial = makeTrial(model, directory, edits);
    const service = await startLoaded(trial, { directory });
    try {
      return await act(service.measure);
    } finally {
      await service.close();
    }
  });
}

function editsOf(model: Model, { choice, best, itemsPerWorker }: Proposal): Edit[] {
  const isBatched = model.manifest.batch.dimension === 'first';
  return [
    ...cellEdits(model, choice.cell),
    ...(isBatched ? [[['batch', 'waitMs'], best.waitMs] as const] : []),
    [['scaling', 'itemsPerWorker'], itemsPerWorker],
  ];
}

function isMet({ choice, best }: Proposal, goalMs: number): boolean {
  return choice.isWithin && isWithin(best, goalMs);
}

function plot(
  { name }: Model,
  file: string,
  { cells, proposal, goalMs }: { cells: readonly Cell[]; proposal: Proposal; goalMs: number },
): void {
  const longestMs = Math.max(0, (goalMs - 5) / 2);
  writeFileSync(file, drawTuning(name, cells, { longestMs, chosen: proposal.choice.cell }));
}

const barWidth = 24;

function show(
  model: Model,
  shown: {
    cells: readonly Cell[];
    proposal: Proposal;
    goalMs: number;
    edits: readonly Edit[];
    say: (line: string) => void;
  },
): void {
  const { cells, proposal, goalMs, edits, say } = shown;
  const { choice, levels, waits, now, best, itemsPerWorker } = proposal;
  const most = Math.max(...cells.map(({ perSecond }) => perSecond));
  say(`${model.name}@${model.version}: runs of the engine`);
  console.table(
    cells.map((cell) => ({
      threads: cell.threads,
      batch: cell.batch,
      'ms a run': cell.medianMs.toFixed(2),
      'p99 ms': cell.p99Ms.toFixed(2),
      'items/s': cell.perSecond.toFixed(1),
      '':
        '█'.repeat(Math.round((cell.perSecond / most) * barWidth)) +
        (cell === choice.cell ? ' ◀' : ''),
    })),
  );
  const { threads, batch } = choice.cell;
  say(
    `Requests through API, Redis and one worker, with threads ${threads} and batch.max ${batch}; the goal is a p99 of ${goalMs} ms`,
  );
  const row = (settings: string, level: Level) => ({
    settings,
    ...showLevel(level),
    goal: isWithin(level, goalMs) ? 'kept' : 'missed',
  });
  console.table([
    ...levels.map((level) => row('proposed', level)),
    ...waits.slice(1).map((wait) => row(`proposed, waitMs ${wait.waitMs}`, wait)),
    row('the manifest as it is', now),
  ]);
  if (!isMet(proposal, goalMs)) {
    const clients = best.clients === 1 ? 'client' : 'clients';
    // `optimize` takes no Python.
    const faster =
      model.manifest.engine === 'onnx' ? `: npm run models -- optimize ${model.name}` : '';
    say(
      `A p99 of ${goalMs} ms was not kept here: with ${best.clients} ${clients} it is ${best.p99Ms.toFixed(1)} ms. Allow more, or make the model faster${faster}`,
    );
  }
  say(`\nProposed for ${manifestFile(model)}, for a machine like this one with one worker:`);
  for (const [keys, value] of edits) say(`  ${keys.join('.')}: ${value}${was(model, keys)}`);
  if (!isMet(proposal, goalMs)) return;
  say(
    `${itemsPerWorker} unanswered items for each worker is the most that was tried with which the goal was kept.`,
  );
}

function was({ manifest }: Model, keys: readonly string[]): string {
  const value = keys.reduce<unknown>(
    (around, key) => (around as Record<string, unknown>)?.[key],
    manifest,
  );
  return `   (now ${value})`;
}

/** Writes the settings if it was told to, or if somebody at a terminal says so. */
async function offer(
  model: Model,
  edits: readonly Edit[],
  { wishes, isWithin: isGood }: { wishes: Wishes; isWithin: boolean },
): Promise<void> {
  const file = manifestFile(model);
  if (!wishes.isWritten) {
    if (wishes.isJson || !isGood || !process.stdin.isTTY || !process.stdout.isTTY) return;
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question(`Write them to ${file}? [y/N] `);
    terminal.close();
    if (!/^y(es)?$/i.test(answer.trim())) return;
  }
  if (!isGood)
    throw wrong(
      `${model.name}: expected settings that keep a p99 of ${wishes.goalMs} ms; none did. Nothing was written.`,
    );
  writeFileSync(file, editManifest(model, edits));
  process.stderr.write(`${file} is written. Restart the service for it.\n`);
}
