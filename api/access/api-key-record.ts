// The record of an API key, as it is kept in Redis or in KEYS_FILE. It holds no secret.

import { z } from 'zod';
import { limitsShape, scopes } from '../../shared/configuration/access.js';
import { messageOf } from '../../shared/zod-issue.js';
import { apiKeyIdForm } from './api-key.js';
import type { Caller, CallerLimits } from './caller.js';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');
/** YAML turns a bare time into a Date. */
const time = z.preprocess(
  (value) => (value instanceof Date ? value.toISOString() : value),
  z.iso.datetime({ offset: true }),
);
const name = z
  .string()
  .regex(/^[\w .@:/-]{1,100}$/, 'expected 1 to 100 letters, digits, blanks and . @ : / - _');

const recordSchema = z
  .strictObject({
    id: z.string().regex(apiKeyIdForm, 'expected 10 letters and digits'),
    name,
    /** The SHA-256 of the key. */
    sha256,
    /** After rotations: the keys before, each of which is accepted until its time. */
    previous: z
      .array(z.strictObject({ sha256, until: time }))
      .max(20, 'expected at most 20 former keys; --keep-old 0m ends them')
      .optional(),
    scopes: z.array(z.enum(scopes)).min(1),
    models: z.array(z.string().min(1)).min(1).optional(),
    ...limitsShape,
    createdAt: time.optional(),
    expiresAt: time.optional(),
  })
  .refine((record) => record.burst === undefined || record.perSecond !== undefined, {
    path: ['burst'],
    message: 'expected perSecond with it',
  });

export type ApiKeyRecord = z.output<typeof recordSchema>;

/**
 * Parses a record.
 * @throws ZodError
 */
export function parseApiKeyRecord(value: unknown): ApiKeyRecord {
  return recordSchema.parse(value);
}

/** Says in one line what is wrong with a record, without its values. */
export function describeFault(thrown: unknown): string {
  if (!(thrown instanceof z.ZodError)) return String(thrown);
  return thrown.issues.map((issue) => `${issue.path.join('.')}: ${messageOf(issue)}`).join('; ');
}

/** Returns the caller that a key stands for. What the record does not limit has the default limits. */
export function callerOf(record: ApiKeyRecord, defaults: CallerLimits | undefined): Caller {
  const { perSecond, burst, concurrent } = record;
  const own = { perSecond, burst, concurrent };
  const isLimited = Object.values(own).some((value) => value !== undefined);
  return {
    id: `key:${record.id}`,
    name: record.name,
    scopes: record.scopes,
    models: record.models,
    limits: isLimited ? withDefaults(own, defaults) : defaults,
  };
}

/** A burst belongs to its rate, so a rate of the caller's own leaves the default burst out. */
function withDefaults(own: CallerLimits, defaults: CallerLimits = {}): CallerLimits {
  const rate = own.perSecond === undefined ? defaults : own;
  return {
    perSecond: rate.perSecond,
    burst: own.burst ?? rate.burst,
    concurrent: own.concurrent ?? defaults.concurrent,
  };
}
