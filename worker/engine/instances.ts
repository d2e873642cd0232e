// Several copies of a model, as one engine. Each copy has a thread or a process of its own, so they run side by side.
//
// Copies that run side by side share the cores. On several threads each, their threads would wait for cores and for each
// other, and a run would take more processor time. But a run that is alone is faster on all cores. So with
// `threads: 0` there is one copy more, with a thread for each core, which takes the runs that start alone.

import type { Manifest } from '../../shared/manifest/manifest.js';
import { countCores } from '../../shared/process/processors.js';
import type { Engine } from './engine.js';

/**
 * Returns how many threads a run has in each copy of a model; 0 means one for each core. The first copy takes the
 * runs that start alone. If it has as many threads as the others, it takes other runs as well.
 */
export function threadsOfCopies(
  { engine, device }: Pick<Manifest, 'engine' | 'device'>,
  cores = countCores(),
): number[] {
  const { threads, instances, type } = device;
  const alike = new Array<number>(instances).fill(threads);
  if (engine === 'python' || type !== 'cpu' || threads > 0 || instances === 1) return alike;
  const share = Math.max(1, Math.floor(cores / instances));
  return share === cores ? alike : [0, ...alike.fill(share)];
}

/**
 * Opens a copy of a model for each number of threads, at the same time. A run goes to the copy that has the fewest.
 * @param threadsOf of the copies, from `threadsOfCopies`
 * @throws the error of a copy that cannot be opened; the others are closed
 */
export async function openInstances(
  threadsOf: readonly number[],
  open: (threads: number) => Promise<Engine>,
): Promise<Engine> {
  const opened = await Promise.allSettled(threadsOf.map((threads) => open(threads)));
  const engines = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = opened.find((each) => each.status === 'rejected');
  if (failed) {
    await closeAll(engines);
    throw failed.reason;
  }
  const copies = engines.map((engine) => ({ engine, runs: 0 }));
  const [first, ...others] = copies as [Copy, ...Copy[]];
  if (others.length === 0) return first.engine;
  const isForAloneOnly = threadsOf[0] !== threadsOf[1];
  const sideBySide = isForAloneOnly ? others : copies;
  const choose = () =>
    copies.every(({ runs }) => runs === 0)
      ? first
      : sideBySide.reduce((least, each) => (each.runs < least.runs ? each : least));
  const { device, inputs, outputs } = first.engine;
  return {
    device,
    inputs,
    outputs,
    run: async (batch, outputNames) => {
      const copy = choose();
      copy.runs++;
      try {
        return await copy.engine.run(batch, outputNames);
      } finally {
        copy.runs--;
      }
    },
    close: () => closeAll(engines),
  };
}

interface Copy {
  readonly engine: Engine;
  runs: number;
}

async function closeAll(engines: readonly Engine[]): Promise<void> {
  await Promise.allSettled(engines.map((engine) => engine.close()));
}
