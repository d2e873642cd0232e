// What a request must pass before anybody asks who sends it: rules of HTTP, the count of its fields, the host it
// names, plain HTTP, and the preflights of browsers, which carry no key.

import type { ServerResponse } from 'node:http';
import cors from 'cors';
import type { Request } from 'express';
import type { Configurations } from '../../../shared/configuration/configuration.js';
import { ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';
import { wantsPage } from '../answers/wants-page.js';
import { openPaths, pathOf } from '../paths.js';
import type { GatedRequest } from './gated-request.js';
import { requirePrivateHost } from './same-origin.js';

const fieldsMax = 100;
const preflightSecondsMax = 600;

/**
 * Returns whether the request may go on. If not, it has been answered.
 * @throws ScorelineError `request_invalid`, `scope_missing`, `https_required`
 */
type Entrance = (request: GatedRequest, response: ServerResponse) => boolean;

export function makeEntrance({
  AUTH,
  CORS_ORIGINS,
  HTTPS_ONLY,
}: Pick<Configurations['api'], 'AUTH' | 'CORS_ORIGINS' | 'HTTPS_ONLY'>): Entrance {
  const crossOrigin = cors({
    origin: [...CORS_ORIGINS],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: [
      ...['Age', 'Cache-Status', 'Idempotency-Replayed', 'Inference-Header-Content-Length'],
      ...['Location', 'Preference-Applied', 'RateLimit', 'RateLimit-Policy', 'Retry-After'],
      ...['traceresponse', 'WWW-Authenticate', 'X-Request-Id'],
    ],
    maxAge: preflightSecondsMax,
  });

  return (request, response) => {
    const fields = request.rawHeaders.length / 2;
    if (fields > fieldsMax) throw tooManyFields(fields);
    const { host, expect } = request.headers;
    if (host === undefined && request.httpVersion === '1.1') throw hostMissing();
    requireOneOf(request.rawHeaders, 'host');
    requireOneOf(request.rawHeaders, 'authorization');
    if (expect !== undefined && !/^100-continue$/i.test(expect)) throw otherExpectation(expect);
    if (AUTH === undefined && !openPaths.has(pathOf(request))) requirePrivateHost(request);
    if (HTTPS_ONLY && !mayComePlainly(request)) return redirect(request, response);
    if (CORS_ORIGINS.length === 0 || request.headers.origin === undefined) return true;
    let goesOn = false;
    crossOrigin(request as Request, response, () => {
      goesOn = true;
    });
    return goesOn;
  };
}

/**
 * Refuses a field that is given twice. Node reads the first one, and a proxy may have checked the other one.
 * @throws ScorelineError `request_invalid`
 */
function requireOneOf(fields: readonly string[], name: string): void {
  let count = 0;
  for (let at = 0; at < fields.length; at += 2) {
    const field = fields[at] as string;
    if (field.length === name.length && field.toLowerCase() === name) count++;
  }
  if (count <= 1) return;
  throw new ScorelineError(
    'request_invalid',
    `Expected one field ${name}; got ${count}. Leave out all but one, and check the proxies on the way.`,
  );
}

/** Probes come from the machine itself, and say nothing that is secret. */
function mayComePlainly(request: GatedRequest): boolean {
  if ((request as Request).secure) return true;
  return openPaths.has(pathOf(request)) && !wantsPage(request);
}

/** Sends a reader to HTTPS. Whoever sent something must learn that it travelled openly. */
function redirect(request: GatedRequest, response: ServerResponse): false {
  const { method = '', url = '/', headers } = request;
  if (!/^(GET|HEAD)$/.test(method) || !headers.host || !url.startsWith('/')) throw httpsRequired();
  response.writeHead(308, { Location: `https://${headers.host}${url}`, 'Content-Length': 0 });
  response.end();
  return false;
}

export function httpsRequired(): ScorelineError {
  return new ScorelineError(
    'https_required',
    'Expected HTTPS; the request came by plain HTTP, where others can read it. Ask with https:// instead, and replace the key or token that was sent.',
  );
}

function hostMissing(): ScorelineError {
  return new ScorelineError('request_invalid', 'Expected a Host field; got none.');
}

function otherExpectation(got: string): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    `Expected no Expect field, or Expect: 100-continue; got ${shown(got)}.`,
  );
}

function tooManyFields(fields: number): ScorelineError {
  return new ScorelineError(
    'request_invalid',
    `Expected at most ${fieldsMax} header fields; got ${fields}.`,
  );
}
