// Access: finds out who sends a request, and whether the caller has room within its limits.
//
// With AUTH=none there is one caller, anyone, who may do everything and has no limits. Then nothing here
// costs a request any time.

import { type AccessConfiguration, makeKeyCommand } from '../../shared/configuration/access.js';
import { type ErrorCode, errorTable, ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import type { Keys } from '../../shared/redis/keys.js';
import { type Redis, untilTaken } from '../../shared/redis/redis.js';
import { ApiKeyRing } from './api-key-ring.js';
import { openApiKeySource, originInFile, originInRedis } from './api-key-source.js';
import { ApiKeyStore } from './api-key-store.js';
import { anyone, type Caller, type CallerLimits } from './caller.js';
import { type CredentialHeaders, readCredential, showsCredential } from './credential.js';
import type { Endpoints, Issuer } from './issuer.js';
import { type Limits, makeLimits } from './limits.js';
import { Pace } from './pace.js';
import { makeTakeUsage } from './usage.js';

export interface Access {
  /**
   * Finds out who sends a request with these headers: at once, except for a token that has to be checked.
   * @throws ScorelineError `unauthenticated`, `key_malformed`, `key_unknown`, `key_expired`,
   * `token_invalid`, `issuer_unavailable`, at once or as a rejection
   */
  identify(headers: CredentialHeaders): Caller | Promise<Caller>;
  /** Whether nobody says who sends a request, although callers here have something to show. */
  isStranger(headers: CredentialHeaders): boolean;
  readonly limits: Pick<Limits, 'admit' | 'fieldsOf'>;
  /** How people sign in with a browser; undefined where they cannot. */
  readonly signIn?: SignIn | undefined;
  /**
   * Returns how many milliseconds a refusal should wait, so that callers who go on in spite of refusals do
   * not slow the others down.
   * @param caller undefined if it is not known
   */
  delayMs(code: ErrorCode, caller: Caller | undefined): number;
  close(): Promise<void>;
}

/** What a page must know to sign a person in. */
export interface SignIn {
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  /** Undefined while the issuer has not said where. */
  readonly endpoints: Endpoints | undefined;
}

interface Options {
  readonly configuration: AccessConfiguration;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly instance: string;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens what AUTH names, and logs who may do what. Waits until Redis can be asked for the keys.
 * @throws ScorelineError `configuration_invalid` for a faulty KEYS_FILE; the reason of the signal
 */
export async function openAccess(options: Options): Promise<Access> {
  const { AUTH = [] } = options.configuration;
  if (AUTH.length === 0) return openToAnyone(options);
  const { log } = options;
  const keys = AUTH.includes('keys') ? await openKeys(options) : undefined;
  const tokens = AUTH.includes('oidc') ? await openTokens(options) : undefined;
  const limits = makeLimits(makeTakeUsage(options));
  const signIn = tokens && offerSignIn(options.configuration, tokens.issuer);
  const strangers = new Pace();
  log.info(
    'addresses open to all without a key or token: /, /v2/health/live, /v2/health/ready, /v1/sign-in, /docs and /playground/ and what is below them, and /openapi.json and /docs/api, which then name no models',
  );

  return {
    identify(headers) {
      const { kind, text } = readCredential(headers);
      if (kind === 'key') {
        if (keys) return keys.find(text);
        throw notAccepted('an access token', 'an API key');
      }
      if (tokens) return tokens.find(text);
      throw notAccepted('an API key', 'something else');
    },
    isStranger: (headers) => !showsCredential(headers),
    limits,
    signIn,
    delayMs(code, caller) {
      if (errorTable[code].status === 401) return strangers.next();
      const isLimited = code === 'rate_limited' || code === 'concurrency_limited';
      return caller && isLimited ? limits.delayMs(caller) : 0;
    },
    close: async () => {
      limits.close();
      tokens?.close();
      await keys?.close();
    },
  };
}

function openToAnyone({ configuration: { AUTH }, log }: Options): Access {
  const why = AUTH === undefined ? 'AUTH is not set' : 'AUTH=none';
  log.info(`everyone who reaches this API may do everything: ${why}`);
  return {
    identify: () => anyone,
    isStranger: () => false,
    limits: { admit: () => undefined, fieldsOf: () => ({ 'RateLimit-Policy': '', RateLimit: '' }) },
    delayMs: () => 0,
    close: async () => {},
  };
}

async function openKeys({ configuration, redis, keys, log, signal }: Options) {
  const { KEYS_FILE } = configuration;
  const store = new ApiKeyStore(redis, keys);
  const ring = new ApiKeyRing(defaultLimits(configuration));
  const origin = KEYS_FILE === undefined ? originInRedis(store, log) : originInFile(KEYS_FILE);
  const open = () => openApiKeySource({ ring, origin, store, log });
  const message = 'the API keys cannot be read; trying again';
  const source = await (KEYS_FILE === undefined
    ? untilTaken(open, { log, signal, message })
    : open());
  const { callers } = ring;
  for (const { name, scopes, models, limits } of callers.slice(0, 100)) {
    log.info(
      { caller: name, scopes, models: models ?? 'all', limits },
      'may get in with an API key',
    );
  }
  if (callers.length > 100) log.info(`and ${callers.length - 100} more API keys`);
  if (callers.length === 0) {
    log.warn(`there are no API keys, so nobody gets in with one. Make one: ${makeKeyCommand}`);
  }
  return { find: (key: string) => ring.find(key), close: () => source.close() };
}

/** Only here is the library for tokens loaded. */
async function openTokens({ configuration, log }: Options) {
  const { openIssuer } = await import('./issuer.js');
  const { makeTokens } = await import('./tokens.js');
  const { OIDC_ISSUER = '', OIDC_AUDIENCE = [], OIDC_ALGORITHMS } = configuration;
  const roles = {
    score: configuration.OIDC_SCORE_ROLES,
    jobs: configuration.OIDC_JOBS_ROLES,
    admin: configuration.OIDC_ADMIN_ROLES,
  };
  const issuer = await openIssuer({ url: OIDC_ISSUER, log });
  const rules = {
    issuer: OIDC_ISSUER,
    audiences: OIDC_AUDIENCE,
    algorithms: OIDC_ALGORITHMS,
    clockSkewMs: configuration.OIDC_CLOCK_SKEW_MS,
    roles,
    limits: defaultLimits(configuration),
  };
  log.info({ issuer: OIDC_ISSUER, audiences: OIDC_AUDIENCE, roles }, 'may get in with a token');
  return { ...makeTokens(rules, issuer), issuer, close: () => issuer.close() };
}

function offerSignIn(
  { OIDC_ISSUER = '', OIDC_CLIENT_ID: clientId, OIDC_CLIENT_SCOPES: scopes }: AccessConfiguration,
  issuer: Issuer,
): SignIn | undefined {
  if (clientId === undefined) return undefined;
  return {
    ...{ issuer: OIDC_ISSUER, clientId, scopes },
    get endpoints() {
      return issuer.endpoints;
    },
  };
}

/** The limits of callers that have none of their own. */
function defaultLimits(configuration: AccessConfiguration): CallerLimits | undefined {
  const {
    CALLER_PER_SECOND_MAX: perSecond,
    CALLER_BURST_MAX: burst,
    CALLER_CONCURRENT_MAX: concurrent,
  } = configuration;
  const areSet = perSecond !== undefined || concurrent !== undefined;
  return areSet ? { perSecond, burst, concurrent } : undefined;
}

function notAccepted(expected: string, got: string): ScorelineError {
  return new ScorelineError(
    'unauthenticated',
    `Expected ${expected}; got ${got}, which this service does not accept. Ask the operator how to get in.`,
  );
}
