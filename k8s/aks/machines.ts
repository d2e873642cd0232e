// Whether a region has the machines of the pools, and the subscription a quota for them. Which region has
// what changes, so Azure itself is asked: the two lists are what `az vm list-skus` and `az vm list-usage` print.

import { z } from 'zod';
import { readYamlFile } from '../../shared/files/yaml-file.js';
import type { Pool } from './pools.js';

const skuSchema = z.object({
  name: z.string(),
  family: z.string().nullish(),
  capabilities: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
  restrictions: z
    .array(z.object({ type: z.string().nullish(), reasonCode: z.string().nullish() }))
    .nullish(),
});
const skusSchema = z
  .array(skuSchema, 'expected what `az vm list-skus --all --output json` prints, a list')
  .min(1, 'expected the machines of the region; there are none. Is its name right?');

const number = z.coerce.number();
const usageSchema = z.array(
  z.object({ name: z.object({ value: z.string() }), currentValue: number, limit: number }),
  'expected what `az vm list-usage --output json` prints, a list',
);

type Sku = z.output<typeof skuSchema>;
type Usage = z.output<typeof usageSchema>[number];

/** All spot machines share one quota; the others have one for each family and one for all. */
const spotQuota = 'lowPriorityCores';
const totalQuota = 'cores';

export interface Lists {
  readonly region: string;
  readonly skus: readonly Sku[];
  readonly usage: readonly Usage[];
}

/**
 * Reads the two lists. JSON is YAML, too.
 * @throws ScorelineError `configuration_invalid` if a file is missing or something else
 */
export function readLists(files: { skus: string; usage: string }): Omit<Lists, 'region'> {
  const code = 'configuration_invalid';
  // A program wrote them, and a region has some thousand machines.
  const bytesMax = 64 * 1024 * 1024;
  return {
    skus: readYamlFile(files.skus, skusSchema, { what: 'a list of machines', code, bytesMax }),
    usage: readYamlFile(files.usage, usageSchema, { what: 'a list of quotas', code, bytesMax }),
  };
}

/** Returns what is wrong, a line for each fault; nothing if all machines can be had. */
export function findMachineFaults(pools: readonly Pool[], lists: Lists): string[] {
  const faults = pools.flatMap((pool) => findPoolFaults(pool, lists));
  const found = pools.flatMap((pool) => {
    const sku = skuOf(pool, lists);
    return sku ? [{ pool, sku }] : [];
  });
  return [...faults, ...findQuotaFaults(found, lists)];
}

function findPoolFaults(pool: Pool, lists: Lists): string[] {
  const { region } = lists;
  const place = `pool ${pool.name}: `;
  const sku = skuOf(pool, lists);
  if (!sku) {
    return [
      `${place}expected a machine that ${region} has; got ${pool.machine}. Choose another machine or region.`,
    ];
  }
  const faults: string[] = [];
  const barrier = sku.restrictions?.find(({ type }) => type === 'Location');
  if (barrier) {
    faults.push(
      `${place}expected a machine that your subscription may use in ${region}; got ${pool.machine} (${barrier.reasonCode}). Choose another one, or ask Azure's support for it.`,
    );
  }
  if (pool.isSpot && capability(sku, 'LowPriorityCapable') !== 'True') {
    faults.push(`${place}expected a machine that there are as spot machines; got ${pool.machine}.`);
  }
  const isForGpu = pool.name.startsWith('gpu');
  if (isForGpu && !(Number(capability(sku, 'GPUs')) >= 1)) {
    faults.push(`${place}expected a machine with a GPU; got ${pool.machine}, which has none.`);
  }
  return faults;
}

function findQuotaFaults(found: readonly { pool: Pool; sku: Sku }[], { usage }: Lists): string[] {
  const needs = new Map<string, { cores: number; reasons: string[] }>();
  for (const { pool, sku } of found) {
    const cores = pool.max * Number(capability(sku, 'vCPUs') ?? 0);
    const names = pool.isSpot ? [spotQuota] : [sku.family ?? '', totalQuota];
    for (const name of names) {
      const need = needs.get(name) ?? { cores: 0, reasons: [] };
      need.reasons.push(`${pool.max} ${pool.machine} for pool ${pool.name}`);
      needs.set(name, { ...need, cores: need.cores + cores });
    }
  }
  return [...needs].flatMap(([name, { cores, reasons }]) => {
    const quota = usage.find((each) => each.name.value.toLowerCase() === name.toLowerCase());
    if (!quota) return [];
    const left = quota.limit - quota.currentValue;
    if (cores <= left) return [];
    return [
      `quota ${name}: expected ${cores} processors, for ${reasons.join(' and ')}; got ${left}, of ${quota.limit}. Ask for more in the portal under Quotas, or lower max in aks.machines.`,
    ];
  });
}

function skuOf({ machine }: Pool, { skus }: Lists): Sku | undefined {
  return skus.find(({ name }) => name.toLowerCase() === machine.toLowerCase());
}

function capability({ capabilities }: Sku, name: string): string | undefined {
  return capabilities?.find((each) => each.name === name)?.value;
}
