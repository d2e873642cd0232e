// The state of a worker, read with each scrape.

import type { Instruments } from '../../shared/metrics/instruments.js';
import { statuses, type WorkerHealth } from '../health.js';
import type { Place } from '../place.js';

export function observeWorker(
  instruments: Instruments,
  health: Pick<WorkerHealth, 'read'>,
  places: () => readonly Pick<Place, 'model' | 'device' | 'loadMs' | 'heldMs'>[],
): void {
  const labelsOf = ({ model }: Pick<Place, 'model'>) => ({
    model: model.name,
    version: model.version,
  });

  instruments.read('workerState', () => {
    const { status } = health.read();
    return statuses.map((state) => [{ state }, state === status ? 1 : 0] as const);
  });
  instruments.read('modelInfo', () =>
    places().flatMap((place) => {
      const device = place.device()?.type;
      return device === undefined ? [] : [[{ ...labelsOf(place), device }, 1] as const];
    }),
  );
  instruments.read('modelLoadSeconds', () =>
    places().flatMap((place) => {
      const ms = place.loadMs();
      return ms === undefined ? [] : [[labelsOf(place), ms / 1000] as const];
    }),
  );
  instruments.read('heldSeconds', () =>
    places().map((place) => [labelsOf(place), place.heldMs() / 1000] as const),
  );
}
