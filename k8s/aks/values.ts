// What a person decides about the cluster itself, if it is to be made on Azure (docs/aks.md). Machines for the
// pods are under `nodes`, because the manifests need them too; here is how many there may be.

import { z } from 'zod';

/** The most machines that AKS puts into a pool. */
export const machinesMax = 1000;
const count = z.number().int().nonnegative().max(machinesMax);
const positive = z.number().int().positive().max(machinesMax);
const groupId = z.guid('expected the object id of a group in Entra ID');
const machineType = z
  .string()
  .regex(/^Standard_\w+$/, 'expected a machine type of Azure, such as Standard_D4ds_v5');
const cidr = z.union(
  [z.cidrv4(), z.ipv4()],
  'expected an address or a range, such as 192.0.2.0/24',
);
const atLeastMin = { message: 'expected min <= max' };

/** The machine of pools for which the values name none. */
export const machineDefault = 'Standard_D4ds_v5';

export const aksSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{1,30}[a-z0-9]$/, 'expected lower-case letters, digits and -, 3 to 32')
    .default('scoreline')
    .describe('What the names of the resources begin with.'),
  region: z
    .string()
    .regex(/^[a-z]+\d?$/, 'expected the name of a region without blanks, such as westeurope')
    .describe('Where everything is.'),
  machines: z
    .strictObject({
      system: z
        .strictObject({
          machine: machineType.default(machineDefault),
          min: positive.default(2),
          max: positive.default(3),
        })
        .refine(({ min, max }) => min <= max, atLeastMin)
        .prefault({}),
      cpu: z
        .strictObject({
          min: positive.default(2),
          max: positive.default(10),
        })
        .refine(({ min, max }) => min <= max, atLeastMin)
        .prefault({}),
      gpu: z
        .strictObject({ min: count.default(0), max: positive.optional() })
        .refine(({ min, max }) => min <= (max ?? min), atLeastMin)
        .prefault({}),
    })
    .prefault({})
    .describe('How many machines there may be of each kind.'),
  redisSku: z
    .string()
    .regex(
      /^[A-Z][A-Za-z]+_[A-Z]\d+$/,
      'expected a size of Azure Managed Redis, such as Balanced_B1',
    )
    .optional()
    .describe('The size of Azure Managed Redis, if Redis is there.'),
  administrators: z.array(groupId).min(1, 'expected at least one group, or nobody gets in'),
  reachableFrom: z
    .array(cidr)
    .default([])
    .describe('From which addresses the API of the cluster is reached; with none, from all.'),
  defender: z.boolean().default(false),
  ddosPlan: z.boolean().default(false),
});

export type AksValues = z.output<typeof aksSchema>;
