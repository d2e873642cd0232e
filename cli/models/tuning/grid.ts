// Measures threads and batch sizes with the worker's engine.

import os from 'node:os';
import { makeLogger } from '../../../shared/process/log.js';
import type { Model } from '../../../shared/registry/models.js';
import { isOpen } from '../../../shared/tensors/network.js';
import { loadScorer, openScorer } from '../../../worker/batch/scorer.js';
import { withFolder } from '../../temporary.js';
import { makeTrial } from '../copy.js';
import { endIfHung } from '../hung.js';
import { readExampleOrSample } from '../inputs.js';
import { measureBatch } from '../speed.js';
import type { Edit } from '../yaml-edit.js';
import { type Cell, worstMs } from './proposal.js';

const log = makeLogger({ role: 'tune', level: 'silent' });

/** Returns the sizes that the network takes: one if it fixes its first dimension. */
export async function takenSizes(
  model: Model,
  sizes: readonly number[],
): Promise<readonly number[]> {
  const { batch } = model.manifest;
  if (batch.dimension === 'none') return [1];
  const scorer = await loadScorer(model, log);
  await scorer.close();
  const takesMore = scorer.values.inputs.every(
    ({ shape }) => shape[0] !== undefined && isOpen(shape[0]),
  );
  return takesMore ? sizes : sizes.filter((size) => size <= batch.max);
}

export interface Grid {
  readonly threads: readonly number[];
  readonly sizes: readonly number[];
  readonly seconds: number;
  readonly goalMs: number;
  /** Called after each cell, and for cells that are left out since smaller batches are too slow already. */
  readonly onCell: (cell: Cell | undefined) => void;
}

export async function measureGrid(model: Model, grid: Grid): Promise<Cell[]> {
  const cells: Cell[] = [];
  const { inputs } = await readExampleOrSample(model);
  const onLost = endIfHung(model.name, model.manifest.engine);
  const item = { inputs, top: model.labels.length > 0 ? 1 : undefined };
  for (const threads of grid.threads) {
    const largest = grid.sizes.at(-1) as number;
    await withFolder(os.tmpdir(), 'scoreline-tune', async (directory) => {
      const trial = makeTrial(model, directory, cellEdits(model, { threads, batch: largest }));
      const scorer = await openScorer(trial, log, { sample: inputs, onLost });
      try {
        let isTooSlow = false;
        for (const batch of grid.sizes) {
          if (isTooSlow) {
            grid.onCell(undefined);
            continue;
          }
          const speed = await measureBatch(scorer, new Array(batch).fill(item), grid.seconds);
          const cell = { threads, batch, ...speed };
          cells.push(cell);
          grid.onCell(cell);
          isTooSlow = worstMs({ p99Ms: cell.medianMs }) > grid.goalMs;
        }
      } finally {
        await scorer.close();
      }
    });
  }
  return cells;
}

/** Returns the settings of a cell, as far as the model has them. */
export function cellEdits(
  { manifest }: Model,
  { threads, batch }: Pick<Cell, 'threads' | 'batch'>,
): Edit[] {
  return [
    ...(manifest.batch.dimension === 'first' ? [[['batch', 'max'], batch] as const] : []),
    ...(manifest.engine === 'onnx' ? [[['device', 'threads'], threads] as const] : []),
  ];
}
