// A caller: who sends a request, and what it may do.

import type { Scope } from '../../shared/configuration/access.js';
import { ScorelineError } from '../../shared/errors.js';
import { type Catalogue, only } from '../../shared/registry/registry.js';

/** What one caller may use of the service, over all API instances. */
export interface CallerLimits {
  /** How many requests a second the caller may send for long. */
  readonly perSecond?: number | undefined;
  /** How many requests the caller may send at once after a pause. Without it, those of one second. */
  readonly burst?: number | undefined;
  /** How many requests of the caller may be in flight at a time. */
  readonly concurrent?: number | undefined;
}

export interface Caller {
  /** What the caller keeps in the service belongs to this id. It stays when a key is rotated. */
  readonly id: string;
  /** For people: the log and error messages. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The names of the models that exist for the caller; undefined for all. */
  readonly models?: readonly string[] | undefined;
  /** Undefined where the caller has no limits. */
  readonly limits?: CallerLimits | undefined;
}

/** The caller of all requests while there is no authentication. */
export const anyone: Caller = { id: 'anyone', name: 'anyone', scopes: ['admin'] };

/** Returns the caller whose share something counts for; undefined without authentication, when there are no shares. */
export function shareOf(caller: string): string | undefined {
  return caller === anyone.id ? undefined : caller;
}

/** The caller of requests to addresses that are open to all. It may do nothing else. */
export const nobody: Caller = { id: 'nobody', name: 'nobody', scopes: [], models: [] };

/**
 * Checks that the caller has one of these scopes. The scope `admin` includes all others.
 * @throws ScorelineError `scope_missing`
 */
export function requireScope({ name, scopes }: Caller, ...wanted: readonly Scope[]): void {
  if (scopes.includes('admin') || wanted.some((scope) => scopes.includes(scope))) return;
  const has = scopes.length === 0 ? 'none' : scopes.join(', ');
  throw new ScorelineError(
    'scope_missing',
    `Expected a caller with the scope ${[...new Set([...wanted, 'admin'])].join(' or ')}; ${name} has ${has}. Ask the operator for it.`,
  );
}

/** Returns what exists for a caller. */
export function catalogueOf({ models }: Caller, registry: Catalogue): Catalogue {
  return models === undefined ? registry : only(models, registry);
}
