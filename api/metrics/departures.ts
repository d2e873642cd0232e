// Ends the series of versions that this instance does not serve any more.

import { makeDepartures } from '../../shared/metrics/departures.js';
import type { Instruments } from '../../shared/metrics/instruments.js';
import type { Registry } from '../../shared/registry/registry.js';

export function endSeries(
  instruments: Pick<Instruments, 'forget'>,
  registry: Pick<Registry, 'models' | 'draining' | 'subscribe'>,
): void {
  const leave = makeDepartures(instruments, () => [...registry.models, ...registry.draining]);
  registry.subscribe(({ removed }) => {
    for (const model of removed) leave(model);
  });
}
