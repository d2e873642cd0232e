// Several copies of a model, as one engine. Each copy has a thread or a process of its own, so they run side by side.

import type { Engine } from './engine.js';

/**
 * Opens copies of a model at the same time. A run goes to the copy that has the fewest.
 * @throws the error of a copy that cannot be opened; the others are closed
 */
export async function openInstances(count: number, open: () => Promise<Engine>): Promise<Engine> {
  if (count === 1) return open();
  const opened = await Promise.allSettled(Array.from({ length: count }, open));
  const engines = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = opened.find((each) => each.status === 'rejected');
  if (failed) {
    await closeAll(engines);
    throw failed.reason;
  }
  const copies = engines.map((engine) => ({ engine, runs: 0 }));
  const [{ device, inputs, outputs }] = engines as [Engine];
  return {
    device,
    inputs,
    outputs,
    run: async (batch, outputNames) => {
      const copy = copies.reduce((least, each) => (each.runs < least.runs ? each : least));
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

async function closeAll(engines: readonly Engine[]): Promise<void> {
  await Promise.allSettled(engines.map((engine) => engine.close()));
}
