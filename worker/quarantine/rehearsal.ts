// A rehearsal: a process of its own tries batches that may crash it or never end, before the worker does.

import { makeLogger } from '../../shared/process/log.js';
import type { Model } from '../../shared/registry/models.js';
import type { Rehearse } from '../batch/scorer.js';
import { startCell } from './cells.js';
import { oneByOne } from './one-by-one.js';
import { loadLimit, makeQuarantine, NoCell } from './quarantine.js';

/** Only a hint is lost if a run takes longer, so the model's own limit may be too patient. */
const runMsMax = 10_000;

/**
 * Makes a `Rehearse` with one process at a time, as each has a second copy of its model.
 * @param leastLoadMs what each may take to load its model, however quickly the worker has loaded it
 */
export function makeRehearse(leastLoadMs?: number): Rehearse {
  return oneByOne((...asked) => rehearse(leastLoadMs, ...asked));
}

async function rehearse(
  leastLoadMs: number | undefined,
  ...[model, batches, loadMs]: Parameters<Rehearse>
): ReturnType<Rehearse> {
  const quarantine = makeQuarantine({
    model: withRunMsMax(model),
    cells: { take: () => startCell('ignore'), close: () => {} },
    log: makeLogger({ role: 'rehearsal', level: 'silent' }),
    loadMsMax: loadLimit(loadMs, leastLoadMs),
  });
  try {
    return await quarantine.inTurn(async (cell) => {
      for (const batch of batches) if (!(await cell.score(batch))) return 'broken';
      return 'survived';
    });
  } catch (thrown) {
    if (thrown instanceof NoCell) return thrown;
    throw thrown;
  } finally {
    quarantine.close();
  }
}

function withRunMsMax(model: Model): Model {
  const { manifest } = model;
  return { ...model, manifest: { ...manifest, runMsMax: Math.min(manifest.runMsMax, runMsMax) } };
}
