// The values of a simulation: what was measured of a model, what machines cost, and the loads to try.
// simulate/values.yaml is the example, and docs/simulation.md explains each key.

import { z } from 'zod';
import { readYamlFile } from '../shared/files/yaml-file.js';
import { scalingSchema } from '../shared/manifest/scaling.js';
import { type Point, pointsOf, type ShapeName, shapeNames } from './load.js';

const positive = z.number().positive();
const count = z.number().int().nonnegative();
const seconds = z.number().nonnegative();
/** More than this takes longer than anybody waits. */
const itemsMax = 20_000_000;
const clientsMax = 10_000;
const month = 31 * 86_400;
/** Within a scenario. */
const moment = seconds.max(month, `expected at most ${month} seconds, a month`);

const batchMsSchema = z
  .record(z.string(), z.number({ error: 'expected milliseconds' }).positive(), {
    error: 'expected the time of a batch by its size, in milliseconds, such as { 1: 12, 16: 140 }',
  })
  .superRefine((given, context) => {
    for (const size of Object.keys(given)) {
      if (/^[1-9]\d{0,4}$/.test(size)) continue;
      const message = 'expected a batch size, a whole number from 1 to 99999';
      context.addIssue({ code: 'custom', path: [size], message });
    }
    if (!('1' in given))
      context.addIssue(
        'expected the time of a batch of 1 and of the largest batch, and of sizes between',
      );
  });

const modelSchema = z.strictObject({
  device: z.enum(['cpu', 'gpu']),
  batchMs: batchMsSchema.describe('The largest size is the most that a batch may have.'),
  startSeconds: seconds.describe('From the place on a machine until the worker takes jobs.'),
  deadlineSeconds: positive.default(30),
  scaling: scalingSchema
    .refine(({ schedule }) => schedule.length === 0, {
      path: ['schedule'],
      message: 'expected none, because schedules are not simulated',
    })
    .prefault({}),
});

const poolSchema = z
  .strictObject({
    pricePerHour: z
      .number({ error: 'expected the price of a machine for an hour; 0 if it costs nothing' })
      .nonnegative(),
    workersPerNode: z.number().int().positive(),
    startSeconds: seconds.describe('From the order of a machine until it takes workers.'),
    idleSeconds: seconds.default(600).describe('How long a machine stays without any worker.'),
    nodesMin: count.default(0),
    nodesMax: z.number().int().positive(),
  })
  .refine(({ nodesMin, nodesMax }) => nodesMin <= nodesMax, {
    path: ['nodesMax'],
    message: 'expected nodesMin <= nodesMax',
  });

const pointSchema = z.strictObject({
  atSeconds: moment,
  perSecond: z
    .number({ error: 'expected items a second' })
    .nonnegative('expected items a second, 0 or more'),
});

const pointsSchema = z
  .array(pointSchema)
  .min(2, 'expected at least two points')
  .superRefine((points, context) => {
    for (const [index, { atSeconds }] of points.entries()) {
      const before = points[index - 1]?.atSeconds ?? 0;
      if (atSeconds >= before) continue;
      const message = `expected a time no earlier than that of the point before it, ${before}`;
      context.addIssue({ code: 'custom', path: [index, 'atSeconds'], message });
    }
    if (points[0]?.atSeconds !== 0)
      context.addIssue({
        code: 'custom',
        path: [0, 'atSeconds'],
        message: 'expected 0, the beginning',
      });
    if (points.at(-1)?.atSeconds === 0)
      context.addIssue({ code: 'custom', path: [], message: 'expected a time after 0' });
  });

const loadSchema = z
  .strictObject({
    shape: z.enum(shapeNames as [ShapeName, ...ShapeName[]]).optional(),
    perSecond: z
      .number({ error: 'expected the peak of the shape, in items a second' })
      .positive('expected the peak of the shape, in items a second, above 0')
      .optional(),
    points: pointsSchema.optional(),
    clients: z.number().int().positive().max(clientsMax).optional(),
    seconds: moment.positive().optional(),
    quietSeconds: moment.optional().describe('The time after the clients have stopped.'),
  })
  .superRefine((given, context) => {
    const keys = Object.keys(given).toSorted().join(' ');
    const known = ['perSecond shape', 'points', 'clients seconds', 'clients quietSeconds seconds'];
    if (!known.includes(keys))
      context.addIssue(
        'expected either shape and perSecond, or points, or clients and seconds (and quietSeconds)',
      );
  })
  .transform(readLoad);

const scenarioSchema = z.strictObject({
  model: z.string().min(1),
  load: loadSchema,
  evictionsAtSeconds: z
    .array(seconds)
    .default([])
    .describe('When the cloud takes a machine away: each time the one with the most workers.'),
});

export const valuesSchema = z
  .strictObject({
    currency: z.string().min(1).default('USD'),
    seed: count.default(7),
    keda: z
      .strictObject({
        pollSeconds: z.number().int().positive().max(300).default(1),
        activationItems: count.default(0),
        initialCoolDownSeconds: seconds.default(0),
      })
      .prefault({}),
    api: z
      .strictObject({
        replicas: z.number().int().positive().default(2),
        permitsMax: z.number().int().positive().default(1024).describe('PERMITS_MAX'),
        itemsMax: z.number().int().positive().default(10_000).describe('QUEUE_ITEMS_MAX'),
      })
      .prefault({}),
    pools: z.strictObject({ cpu: poolSchema.optional(), gpu: poolSchema.optional() }),
    models: z.record(z.string(), modelSchema),
    scenarios: z.record(z.string(), scenarioSchema),
  })
  .superRefine(({ models, pools, scenarios }, context) => {
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    if (Object.keys(scenarios).length === 0)
      refuse(['scenarios'], 'expected at least one scenario');
    for (const [name, { device }] of Object.entries(models)) {
      if (!pools[device])
        refuse(['pools', device], `expected a pool, because ${name} needs a ${device}`);
    }
    for (const [name, { model, load, evictionsAtSeconds }] of Object.entries(scenarios)) {
      if (!Object.hasOwn(models, model)) {
        const names = Object.keys(models).join(', ');
        refuse(['scenarios', name, 'model'], `expected one of the models, ${names}`);
      }
      // Zod calls this even if the load has faults of its own; then it is as it was given.
      if (!('kind' in load)) continue;
      const figures = models[model];
      const items =
        load.kind === 'points' ? itemsOf(load.points) : figures && askedBy(load, figures);
      if (items !== undefined && items > itemsMax)
        refuse(
          ['scenarios', name, 'load'],
          `expected at most ${itemsMax} items in all; these may be ${Math.ceil(items)}`,
        );
      const endSeconds = secondsOf(load);
      if (evictionsAtSeconds.some((atSeconds) => atSeconds > endSeconds))
        refuse(
          ['scenarios', name, 'evictionsAtSeconds'],
          `expected times before the end, ${endSeconds}`,
        );
    }
  });

export type SimulationValues = z.output<typeof valuesSchema>;
export type ModelFigures = z.output<typeof modelSchema>;
export type Load = z.output<typeof loadSchema>;

/** @throws ScorelineError `configuration_invalid`, with all faults of the file */
export function readSimulationValues(file: string): SimulationValues {
  return readYamlFile(file, valuesSchema, {
    what: 'a file of values, such as simulate/values.yaml',
    code: 'configuration_invalid',
  });
}

/** Returns the values with other scaling for all models; what is undefined stays. */
export function vary(
  values: SimulationValues,
  change: {
    readonly itemsPerWorker: number | undefined;
    readonly coolDownSeconds: number | undefined;
  },
): SimulationValues {
  const models = Object.entries(values.models).map(([name, model]) => {
    const {
      itemsPerWorker = model.scaling.itemsPerWorker,
      coolDownSeconds = model.scaling.coolDownSeconds,
    } = change;
    return [name, { ...model, scaling: { ...model.scaling, itemsPerWorker, coolDownSeconds } }];
  });
  return { ...values, models: Object.fromEntries(models) };
}

/** How long a load is simulated. */
export function secondsOf(load: Load): number {
  if (load.kind === 'clients') return load.seconds + load.quietSeconds;
  return load.points.at(-1)?.atSeconds ?? 0;
}

interface GivenLoad {
  readonly shape?: ShapeName | undefined;
  readonly perSecond?: number | undefined;
  readonly points?: readonly Point[] | undefined;
  readonly clients?: number | undefined;
  readonly seconds?: number | undefined;
  readonly quietSeconds?: number | undefined;
}

interface ClientLoad {
  readonly kind: 'clients';
  readonly clients: number;
  readonly seconds: number;
  readonly quietSeconds: number;
}

type ReadLoad = { readonly kind: 'points'; readonly points: readonly Point[] } | ClientLoad;

function readLoad(given: GivenLoad): ReadLoad {
  const { shape, perSecond = 0, points = [], clients, seconds = 0, quietSeconds = 0 } = given;
  if (clients !== undefined) return { kind: 'clients', clients, seconds, quietSeconds };
  return { kind: 'points', points: shape ? pointsOf(shape, perSecond) : points };
}

/** The most items that clients can ask for: they wait for the workers, and for a second after a refusal. */
function askedBy(load: ClientLoad, { batchMs, scaling }: z.output<typeof modelSchema>): number {
  const sizes = Object.entries(batchMs).map(([size, ms]) => Number(size) / ms);
  const byWorkers = scaling.max * Math.max(...sizes);
  const byClients = load.clients / Math.min(...Object.values(batchMs));
  return load.seconds * (1000 * Math.min(byWorkers, byClients) + load.clients);
}

function itemsOf(points: readonly Point[]): number {
  return points.slice(1).reduce((sum, to, index) => {
    const from = points[index] as Point;
    return sum + ((from.perSecond + to.perSecond) / 2) * (to.atSeconds - from.atSeconds);
  }, 0);
}
