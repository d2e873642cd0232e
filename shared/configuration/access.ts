// The part of the API's configuration that says who gets in, and how much one caller may use.

import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { integer, list } from './values.js';

/**
 * What a caller may do: `score` inputs, use `jobs` that are answered later, and as `admin` everything,
 * with what other callers keep.
 */
export const scopes = ['score', 'jobs', 'admin'] as const;
export type Scope = (typeof scopes)[number];

const methods = ['keys', 'oidc'] as const;
export type AuthMethod = (typeof methods)[number];

/** The images have no npm. */
export const makeKeyCommand =
  'npm run keys -- create NAME, or in a container: node /app/dist/cli/keys.js create NAME';

/** Only signatures of which the issuer alone has the private key. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA'],
] as const;

/** Slower than this, and Retry-After would be longer than a minute. */
const perSecond = z.number().min(0.02).max(1_000_000);
const count = z.number().int().min(1).max(1_000_000);

/** The limits of a caller, as numbers. */
export const limitsShape = {
  perSecond: perSecond.optional(),
  burst: count.optional(),
  concurrent: count.optional(),
};

const number = (schema: z.ZodNumber) =>
  z
    .string()
    .regex(/^\d+(\.\d+)?$/, 'expected a number')
    .transform(Number)
    .pipe(schema);

const roles = (scope: Scope, what: string) =>
  list
    .pipe(z.array(z.string()).min(1, 'expected at least one name'))
    .default([scope])
    .describe(
      `The roles or scopes of a token, separated by commas, that let its caller ${what}. They are looked for in the claims \`roles\`, \`scp\` and \`scope\`.`,
    );

export const accessShape = {
  AUTH: list
    .pipe(
      z
        .array(z.enum(['none', ...methods]))
        .min(1)
        .refine((given) => given.length === 1 || !given.includes('none'), {
          message: 'expected none alone, or keys, oidc, or both',
        }),
    )
    .transform((given) => Object.freeze(given.filter((method) => method !== 'none')))
    .optional()
    .describe(
      'How callers say who they are: `keys` (API keys), `oidc` (access tokens of OIDC_ISSUER), `keys,oidc`, or `none`, which lets everyone do everything. If unset, everyone on this machine gets in, and the API does not start on a HOST that others can reach. See [access.md](access.md).',
    ),
  KEYS_FILE: z
    .string()
    .min(1)
    .optional()
    .describe(
      'A YAML file with the records of all API keys, such as a mounted Secret. It is read again when it changes. If unset, the keys are in Redis, where `npm run keys` makes them.',
    ),
  OIDC_ISSUER: z
    .url({ protocol: /^https?$/, error: 'expected a URL with http or https' })
    .refine(isSafeIssuer, 'expected https, or http on this machine, without a user or a query')
    .optional()
    .describe(
      'The address of the OIDC issuer, exactly as its tokens name it in `iss`. For Entra ID: `https://login.microsoftonline.com/TENANT/v2.0`.',
    ),
  OIDC_AUDIENCE: list
    .pipe(z.array(z.string()).min(1, 'expected at least one audience'))
    .optional()
    .describe(
      'The audiences, separated by commas, of which a token must name one in `aud`. For Entra ID: the application id of this API.',
    ),
  OIDC_ALGORITHMS: list
    .pipe(z.array(z.enum(algorithms)).min(1))
    .default(['RS256', 'ES256'])
    .describe('The signature algorithms that are accepted, separated by commas.'),
  OIDC_CLOCK_SKEW_MS: integer(0, 300_000)
    .default(30_000)
    .describe(
      'By how much the clocks of the issuer and of this machine may differ. Raising it accepts expired tokens for longer.',
    ),
  OIDC_CLIENT_ID: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The client at OIDC_ISSUER with which people sign in on the page at `/`: a public one that may use codes with PKCE and return to that page. If unset, the page only takes keys and tokens. See [access.md](access.md).',
    ),
  OIDC_CLIENT_SCOPES: list
    .pipe(z.array(z.string()).min(1, 'expected at least one scope'))
    .default(['openid'])
    .describe(
      'The scopes that the page asks for, separated by commas. The token must be one for OIDC_AUDIENCE, so for Entra ID: `api://APPLICATION_ID/.default`.',
    ),
  OIDC_SCORE_ROLES: roles('score', 'score inputs and list the models'),
  OIDC_JOBS_ROLES: roles('jobs', 'use jobs'),
  OIDC_ADMIN_ROLES: roles('admin', 'do everything'),
  CALLER_PER_SECOND_MAX: number(perSecond)
    .optional()
    .describe(
      'The most requests a second of one caller over all API processes, unless its key says otherwise. Beyond it, the caller gets 429. If unset, there is no such limit.',
    ),
  CALLER_BURST_MAX: number(count)
    .optional()
    .describe(
      'The most requests that a caller may send at once after a pause. If unset, as many as in one second.',
    ),
  CALLER_CONCURRENT_MAX: number(count)
    .optional()
    .describe(
      'The most requests in flight of one caller over all API processes, unless its key says otherwise. Beyond it, the caller gets 429. Lowering it protects the answer times of the others. If unset, there is no such limit.',
    ),
  CALLER_RESULTS_PERCENT: number(z.number().int().min(1).max(100))
    .default(50)
    .describe(
      'How many percent of `RESULTS_MAX` and of `RESULTS_BYTES_MAX` one caller may take. Beyond it, the caller gets 429. Lowering it leaves more room to others. With `AUTH=none` there are no shares.',
    ),
  CALLER_PERMITS_PERCENT: number(z.number().int().min(1).max(100))
    .default(50)
    .describe(
      'How many percent of `PERMITS_MAX`, and of what a model may have of them, one caller may hold. Beyond it, the caller gets 429. One request alone may hold more. Lowering it leaves more room to others. With `AUTH=none` there are no shares.',
    ),
  CALLER_JOBS_MAX: number(z.number().int().min(1).max(10_000_000))
    .default(250_000)
    .describe(
      'The most jobs of one caller, with those that have ended until they are forgotten. Beyond it, the caller gets 429. Raising it costs memory in Redis: 1.2 kB for each. With `AUTH=none` all callers are one.',
    ),
  CALLER_EVENT_STREAMS_MAX: number(count)
    .default(100)
    .describe(
      'The most event streams of jobs that one caller has open at one API process. Beyond it, the caller gets 429. With `AUTH=none`, only `EVENT_STREAMS_MAX` counts.',
    ),
};

export type AccessConfiguration = z.output<z.ZodObject<typeof accessShape>>;

/** Checks the keys that depend on each other. */
export function checkAccess(
  given: AccessConfiguration & { readonly HOST: string },
  context: z.core.$RefinementCtx,
): void {
  const fault = (key: string, message: string) =>
    context.addIssue({ code: 'custom', path: [key], message });
  const { AUTH, HOST } = given;
  const uses = (method: AuthMethod) => AUTH?.includes(method) ?? false;

  if (AUTH === undefined && !isLoopback(HOST)) {
    fault(
      'AUTH',
      `expected keys, oidc or keys,oidc, because others can reach HOST=${HOST}. Set AUTH=keys and make a key (${makeKeyCommand}), or set AUTH=none to let everyone who reaches it do everything`,
    );
  }
  if (uses('oidc')) {
    for (const key of ['OIDC_ISSUER', 'OIDC_AUDIENCE'] as const) {
      if (given[key] === undefined) fault(key, 'expected a value, because AUTH has oidc');
    }
  } else {
    for (const key of ['OIDC_ISSUER', 'OIDC_CLIENT_ID'] as const) {
      if (given[key] !== undefined) fault(key, 'expected AUTH=oidc or AUTH=keys,oidc with it');
    }
  }
  if (given.KEYS_FILE !== undefined && !uses('keys')) {
    fault('KEYS_FILE', 'expected AUTH=keys or AUTH=keys,oidc with it');
  }
  for (const key of ['CALLER_PER_SECOND_MAX', 'CALLER_CONCURRENT_MAX'] as const) {
    if (given[key] !== undefined && !AUTH?.length) {
      fault(key, 'expected AUTH=keys or AUTH=oidc with it, since callers are told apart by these');
    }
  }
  if (given.CALLER_BURST_MAX !== undefined && given.CALLER_PER_SECOND_MAX === undefined) {
    fault('CALLER_BURST_MAX', 'expected CALLER_PER_SECOND_MAX with it');
  }
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

/** Whether only this machine reaches the address. A name other than localhost may lead anywhere. */
export function isLoopback(host: string): boolean {
  const version = isIP(host);
  if (version === 0) return host === 'localhost';
  return loopback.check(host, version === 6 ? 'ipv6' : 'ipv4');
}

/** Keys that come over plain HTTP can be replaced on their way. */
function isSafeIssuer(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, search, hash } = new URL(text);
  if (username + password + search + hash !== '') return false;
  return protocol === 'https:' || isLoopback(hostname.replace(/^\[|\]$/g, ''));
}
