// The cost of a network that takes only one input in a run.

import type { Model } from '../../shared/registry/models.js';
import { isOpen } from '../../shared/tensors/network.js';
import { exampleOrSample } from '../../worker/batch/inputs/sample.js';
import type { LoadedScorer } from '../../worker/batch/scorer.js';

const runs = 5;

/**
 * Measures the run of one input, if the file of the network fixes its first dimension to 1. Returns undefined if
 * it does not, or if the network does not take a sample.
 */
export async function costOfOne(
  { manifest }: Model,
  scorer: LoadedScorer,
): Promise<string | undefined> {
  const { inputs: values } = scorer.values;
  const isFixed = values.some(({ shape }) => shape.length > 0 && !isOpen(shape[0]));
  if (!isFixed || manifest.batch.dimension === 'none') return undefined;
  const inputs = exampleOrSample(manifest, values);
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const { results, computeMs } = await scorer.score([{ inputs }]);
    if (results.some((result) => 'error' in result)) return undefined;
    times.push(computeMs);
  }
  const ms = times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] as number;
  return `of one, since the file fixes the first dimension. A run took ${show(ms)} ms here, so a worker scores at most ${show(1000 / ms)} inputs a second; inputs that wait never share a run. Export the network with a dynamic first dimension to let up to batch.max share one`;
}

function show(number: number): string {
  return number >= 100 ? String(Math.round(number)) : String(Number(number.toPrecision(2)));
}
