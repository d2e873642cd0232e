// How the requests to a model are shared among its versions. `traffic.yaml` in the model's folder says it:
//
//   latest: "2"                  the version of a request that names none; without it, the highest one
//   weights: {"1": 90, "2": 10}  shares of these requests instead, for a canary
//   sticky: {header: X-User-Id}  requests with the same value of this header get the same version
//   shadow: {version: "3"}       a version that gets copies, and answers nobody
//
// Shares lie behind each other on a line, that of the newest version last. A sticky value has a place on the line. So
// when a canary gets a larger share, nobody who has it already goes back.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { readYamlFile } from '../files/yaml-file.js';
import { compareVersions } from './version-order.js';

export const trafficName = 'traffic.yaml';

const version = z
  .union([z.string(), z.number().int()], 'expected a text (in quotes) or a whole number')
  .transform(String);

const trafficSchema = z
  .strictObject({
    latest: version
      .optional()
      .describe('The version of requests that name none. If unset, the highest one.'),
    weights: z
      .record(z.string(), z.number().nonnegative().max(1_000_000))
      .refine((weights) => Object.values(weights).some((weight) => weight > 0), {
        message: 'expected a weight above 0 for one version at least',
      })
      .optional()
      .describe('How the requests that name no version are shared among versions.'),
    sticky: z
      .strictObject({
        header: z
          .string()
          .regex(/^[A-Za-z0-9-]{1,64}$/, 'expected the name of a header: letters, digits and -')
          .transform((name) => name.toLowerCase()),
      })
      .optional()
      .describe('The header whose value decides, so its sender stays with a version.'),
    shadow: z
      .strictObject({
        version,
        percent: z.number().positive().max(100).default(100),
      })
      .optional()
      .describe('A version that gets copies of requests. Its answers are compared, not sent.'),
  })
  .refine(({ weights, shadow }) => !weights || !shadow || !(weights[shadow.version] ?? 0), {
    path: ['shadow', 'version'],
    message: 'expected a version without a weight, since a shadow answers nobody',
  })
  .refine(({ latest, shadow }) => !shadow || latest !== shadow.version, {
    path: ['shadow', 'version'],
    message: 'expected another version than latest',
  });

export type Traffic = Readonly<z.output<typeof trafficSchema>>;

/** The traffic of a model whose folder has no `traffic.yaml`. */
export const plainTraffic: Traffic = {};

/**
 * Reads how a model's requests are shared.
 * @param versions those that are in the folder, whether they can be served or not
 * @throws ScorelineError `manifest_invalid`, with file, key, what was expected and what was given
 */
export function readTraffic(folder: string, versions: readonly string[]): Traffic {
  const file = path.join(folder, trafficName);
  if (!existsSync(file)) return plainTraffic;
  const known = trafficSchema.superRefine(({ latest, weights, shadow }, context) => {
    const named = [
      [['latest'], latest],
      [['shadow', 'version'], shadow?.version],
      ...Object.keys(weights ?? {}).map((each) => [['weights', each], each] as const),
    ] as const;
    for (const [place, each] of named) {
      if (each === undefined || versions.includes(each)) continue;
      const message = `expected one of the versions in ${folder}: ${versions.join(', ')}`;
      context.addIssue({ code: 'custom', path: [...place], message });
    }
  });
  return readYamlFile(file, known, {
    what: 'how requests are shared among versions',
    code: 'manifest_invalid',
    texts: [['latest'], ['shadow', 'version']],
  });
}

/**
 * Returns the version that `latest` means among those that can be served: the one that the file names, or else the
 * newest one that is no shadow. Where the file has weights, it is one of those with a weight.
 * @param current what it means now, which stays while none that the file names can be served
 * @returns undefined if no version may answer requests that name none
 */
export function latestOf<M extends { readonly version: string }>(
  models: readonly M[],
  traffic: Traffic,
  current?: string,
): M | undefined {
  const released = releasedIn(traffic);
  const shadow = traffic.shadow?.version;
  const answering = models
    .filter(({ version }) => released?.includes(version) ?? version !== shadow)
    .sort((a, b) => compareVersions(a.version, b.version));
  const named = answering.find(({ version }) => version === traffic.latest) ?? answering[0];
  return named ?? models.find(({ version }) => version === current && version !== shadow);
}

/** Returns the versions that the file lets answer requests that name none; undefined if it names none. */
export function releasedIn({ latest, weights }: Traffic): readonly string[] | undefined {
  if (weights) return Object.keys(weights).filter((version) => (weights[version] ?? 0) > 0);
  return latest === undefined ? undefined : [latest];
}

/** The versions that share the requests of a model. */
export interface Split<M> {
  /** The header whose value decides; undefined if chance does. */
  readonly header: string | undefined;
  /** The oldest first, each with the end of its part of the line from 0 to 1. */
  readonly parts: readonly { readonly model: M; readonly end: number }[];
}

/**
 * Returns how requests are shared among the versions that can be served, which also get the shares of the other
 * versions. Undefined if all requests go to one version, the latest.
 */
export function splitOf<M extends { readonly version: string }>(
  models: readonly M[],
  { weights = {}, sticky }: Traffic,
): Split<M> | undefined {
  const weighed = Object.entries(weights).flatMap(([name, weight]) => {
    const model = models.find((each) => each.version === name);
    return model && weight > 0 ? [{ model, weight }] : [];
  });
  if (weighed.length < 2) return undefined;
  weighed.sort((a, b) => compareVersions(b.model.version, a.model.version));
  const total = weighed.reduce((sum, { weight }) => sum + weight, 0);
  let end = 0;
  const parts = weighed.map(({ model, weight }) => {
    end += weight / total;
    return { model, end };
  });
  return { header: sticky?.header, parts };
}

/** Returns the share of a version, from 0 to 1; undefined if nothing is shared. */
export function shareIn<M>(split: Split<M> | undefined, model: M): number | undefined {
  if (!split) return undefined;
  const at = split.parts.findIndex((part) => part.model === model);
  const part = split.parts[at];
  const share = part ? part.end - (split.parts[at - 1]?.end ?? 0) : 0;
  return Math.round(share * 1e9) / 1e9;
}

/** Chooses a version: always the same one for the same value, and any one without a value. */
export function choose<M>({ parts }: Split<M>, value: string | undefined): M {
  const place = value === undefined ? Math.random() : placeOf(value);
  // Rounding may leave the last end a little below 1.
  const part = parts.find(({ end }) => place < end) ?? parts.at(-1);
  if (!part) throw new Error('A split has parts. This is a bug.');
  return part.model;
}

/** Returns a number from 0 to below 1 that spreads values evenly: FNV-1a, with the end of MurmurHash3. */
function placeOf(value: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < value.length; at++) {
    hash = Math.imul(hash ^ value.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
