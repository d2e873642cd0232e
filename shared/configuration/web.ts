// The part of the API's configuration about what is between it and its clients: browsers and proxies.

import { isIP } from 'node:net';
import { z } from 'zod';
import { list } from './values.js';

export const webShape = {
  CORS_ORIGINS: list
    .pipe(z.array(z.string().refine(isOrigin, 'expected origins, such as https://app.example.com')))
    .default([])
    .describe(
      'The origins of web pages, separated by commas, whose scripts may use the API from a browser: `https://app.example.com`. If unset, browsers let no page of another origin read an answer.',
    ),
  TRUST_PROXY: list
    .pipe(
      z.array(
        z
          .string()
          .refine(
            isNetwork,
            'expected addresses or networks, such as 10.0.0.0/8, or loopback, linklocal, uniquelocal',
          ),
      ),
    )
    .default([])
    .describe(
      'The proxies whose `X-Forwarded-Proto` is believed, separated by commas: addresses, networks such as `10.0.0.0/8`, or `loopback`, `linklocal`, `uniquelocal`. If unset, no such field is believed.',
    ),
  HTTPS_ONLY: z
    .enum(['true', 'false'])
    .default('false')
    .transform((given) => given === 'true')
    .describe(
      'Whether clients must have come to the proxy by HTTPS. With `true`, a GET by plain HTTP is redirected, any other request gets 403, and answers tell browsers to keep to HTTPS for a year. Probes are exempt.',
    ),
  PLAYGROUND: z
    .enum(['on', 'off'])
    .default('on')
    .transform((given) => given === 'on')
    .describe(
      'Whether browsers get a page at `/` on which people try the models. With `off`, they get `Healthy` like all others. See [playground.md](playground.md).',
    ),
  PLAYGROUND_TRACE_URL: z
    .string()
    .refine(
      (text) => /^https?:\/\//.test(text) && text.includes('{traceId}'),
      'expected an address with {traceId}, such as https://jaeger.example.com/trace/{traceId}',
    )
    .optional()
    .describe(
      'Where the page at `/` sends a person who wants to see the trace of a request: an address in which `{traceId}` stands for the id. If unset, the page shows the id only.',
    ),
};

/** Checks the keys that depend on each other. */
export function checkWeb(
  given: z.output<z.ZodObject<typeof webShape>>,
  context: z.core.$RefinementCtx,
): void {
  if (!given.HTTPS_ONLY || given.TRUST_PROXY.length > 0) return;
  context.addIssue({
    code: 'custom',
    path: ['HTTPS_ONLY'],
    message: 'expected TRUST_PROXY with it, since the API itself speaks plain HTTP',
  });
}

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { origin, protocol } = new URL(text);
  return origin === text && /^https?:$/.test(protocol);
}

function isNetwork(text: string): boolean {
  if (/^(loopback|linklocal|uniquelocal)$/.test(text)) return true;
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}
