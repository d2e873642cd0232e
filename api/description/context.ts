// What the operations of the description are made from.

import type { AccessConfiguration } from '../../shared/configuration/access.js';
import type { Configurations } from '../../shared/configuration/configuration.js';
import type { ErrorCode } from '../../shared/errors.js';
import type { Catalogue } from '../../shared/registry/registry.js';
import type { ImageLimits } from '../kinds/image.js';
import { type InputKinds, makeInputKinds } from '../kinds/kinds.js';
import type { Header, Ref, Response, Security } from './openapi.js';
import { Parts } from './parts.js';
import { makeProblemsOf, type ProblemsOf } from './problems.js';

export interface DescribedService {
  readonly configuration: Pick<AccessConfiguration, 'AUTH'> &
    Pick<Configurations['api'], 'HTTPS_ONLY' | 'INPUTS_PER_REQUEST_MAX' | 'WEBHOOK_HOSTS'>;
  readonly imageLimits: ImageLimits;
  /** The most rows of a request of the Open Inference Protocol. */
  readonly rowsMax: number;
}

/** The part of a catalogue that is described. */
export type DescribedCatalogue = Pick<Catalogue, 'models' | 'latest' | 'splits'>;

export interface Context extends DescribedService {
  readonly catalogue: DescribedCatalogue;
  readonly kinds: InputKinds;
  readonly parts: Parts;
  readonly problemsOf: ProblemsOf;
  /** The headers of every answer that is no error. */
  readonly headers: Readonly<Record<string, Ref>>;
  /** The answer with status 200 and this body. */
  answer(description: string, schema: Ref): { readonly 200: Response };
  /** What a caller may show where it need not show anything. */
  readonly optionalSecurity: readonly Security[];
}

export function makeContext(service: DescribedService, catalogue: DescribedCatalogue): Context {
  const parts = new Parts();
  const { AUTH = [], HTTPS_ONLY } = service.configuration;
  const header = (id: string, description: string, schema: Header['schema']) =>
    parts.header(id, { description, schema });
  const text = { type: 'string' };

  const always = {
    'X-Request-Id': header(
      'RequestId',
      'The id of the request: that of its own `X-Request-Id`, if it is well formed. The log names it.',
      text,
    ),
    traceresponse: header(
      'TraceResponse',
      'The trace of the request and its span in it, if it is traced (W3C Trace Context, level 2).',
      text,
    ),
  };
  const isRestricted = AUTH.length > 0;
  const limits = isRestricted && {
    RateLimit: header('RateLimit', 'What is left to the caller, if it has limits.', text),
    'RateLimit-Policy': header('RateLimitPolicy', 'The limits of the caller, if it has any.', text),
  };
  const challenge = isRestricted && {
    'WWW-Authenticate': header('Challenge', 'How to get in, as RFC 6750 has it.', text),
  };
  const retryAfter = retryAfterHeader({ parts });
  const headers = { ...always, ...limits };
  const headersOf = (status: number): Readonly<Record<string, Ref>> => ({
    ...headers,
    ...((status === 429 || status === 503) && { 'Retry-After': retryAfter }),
    ...((status === 401 || status === 403) && challenge),
  });
  const everywhere: readonly ErrorCode[] = [
    ...(['request_invalid', 'request_timeout', 'headers_too_large', 'internal_error'] as const),
    ...(HTTPS_ONLY ? (['https_required'] as const) : []),
  ];
  const problemsOf = makeProblemsOf(parts, everywhere, headersOf);
  const optionalSecurity = isRestricted ? [{}, ...securityOf(AUTH)] : [];
  const answer = (description: string, schema: Ref) => ({
    200: { description, headers, content: { 'application/json': { schema } } },
  });
  const kinds = makeInputKinds(service.imageLimits);
  return { ...service, catalogue, kinds, parts, problemsOf, headers, answer, optionalSecurity };
}

export function retryAfterHeader({ parts }: Pick<Context, 'parts'>): Ref {
  const schema = { type: 'integer', minimum: 1, maximum: 60 };
  return parts.header('RetryAfter', {
    description: 'After how many seconds to ask again.',
    schema,
  });
}

/** The ways in which callers may say who they are; none where nobody has to. */
export function securityOf(AUTH: AccessConfiguration['AUTH'] = []): readonly Security[] {
  if (AUTH.length === 0) return [];
  return [...(AUTH.includes('keys') ? [{ apiKey: [] }] : []), { bearer: [] }];
}

/** The errors of addresses at which callers have to say who they are. */
export function accessCodes({ configuration: { AUTH = [] } }: Context): readonly ErrorCode[] {
  if (AUTH.length === 0) return [];
  return [
    ...(['unauthenticated', 'scope_missing', 'rate_limited', 'concurrency_limited'] as const),
    ...(AUTH.includes('keys') ? (['key_malformed', 'key_unknown', 'key_expired'] as const) : []),
    ...(AUTH.includes('oidc') ? (['token_invalid', 'issuer_unavailable'] as const) : []),
  ];
}
