// What a run of `optimize` says: its figures, as a table or as JSON, and what to do with the new version.

import path from 'node:path';
import { listed } from '../../../shared/listed.js';
import type { Model } from '../../../shared/registry/models.js';
import type { ModelInput } from '../inputs.js';
import type { Speed } from '../speed.js';
import type { Accuracy, Comparison } from './comparison.js';
import type { Method } from './tools.js';

/** A network, original or candidate, as it was measured. */
export interface Measured {
  readonly method: Method | 'original';
  readonly bytes: number;
  readonly loadMs: number;
  readonly alone: Speed;
  readonly full: Speed;
  readonly accuracy: Accuracy | undefined;
  readonly comparison: Comparison | undefined;
}

export interface Failed {
  readonly method: Method;
  readonly fault: string;
}

/** What was compared. */
interface Compared {
  readonly model: Model;
  readonly compared: readonly ModelInput[];
}

/** What came of it. */
interface Results {
  readonly measured: readonly Measured[];
  readonly failed: readonly Failed[];
}

/** Returns the figures, for JSON. */
export function describe(
  { model, compared, wishes }: Compared & { wishes: { agreement: number } },
  { measured, failed }: Results,
) {
  return {
    model: model.name,
    from: model.version,
    compared: compared.length,
    agreementMin: wishes.agreement,
    batch: model.manifest.batch.max,
    networks: measured,
    failed,
  };
}

/** Prints the figures as a table, and says what stands out. */
export function show(
  { model, compared }: Compared,
  { measured, failed, say }: Results & { say: (line: string) => void },
): void {
  const rows = measured.map(({ method, bytes, loadMs, alone, full, comparison, accuracy }) => ({
    network: method,
    MB: (bytes / 1e6).toFixed(2),
    'load ms': loadMs.toFixed(0),
    'ms alone': alone.medianMs.toFixed(2),
    [`items/s, ${model.manifest.batch.max} at once`]: full.perSecond.toFixed(1),
    agreement: comparison ? show4(comparison.agreement) : '',
    'largest difference': comparison ? comparison.differenceMax.toPrecision(2) : '',
    ...(accuracy && {
      [accuracy.share === undefined ? 'mean error' : 'accuracy']: show4(
        accuracy.share ?? accuracy.meanError ?? 0,
      ),
    }),
  }));
  console.table(rows);
  const known = measured[0]?.accuracy?.known;
  say(
    `${compared.length} inputs compared${known ? `, the right answers of ${known} are known` : ''}.`,
  );
  for (const { method, comparison } of measured) {
    const names = comparison?.differing ?? [];
    if (names.length === 0) continue;
    say(`${method} answers otherwise: ${listed(names, 5)}`);
  }
  for (const { method, fault } of failed) say(`${method}: not made. ${fault}`);
}

/** Says where the new version is, and how it gets requests. */
export function tellNext(
  { name, version: old }: Model,
  { folder, version, say }: { folder: string; version: string; say: (line: string) => void },
): void {
  say(`\n${name}: version ${version} is in ${folder}, made of version ${old}, which is unchanged.`);
  say(
    `Who gets it, ${path.join(path.dirname(folder), 'traffic.yaml')} says. For a tenth of the requests, write there: weights: { ${JSON.stringify(old)}: 90, ${JSON.stringify(version)}: 10 }`,
  );
}

/** Shows a share, to four digits behind the point. */
export function show4(value: number): string {
  return String(Number(value.toFixed(4)));
}
