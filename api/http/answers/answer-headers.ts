// The headers of every answer, whatever part of the API writes it.

import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';

/**
 * Returns the headers that keep browsers, and caches on the way, from misusing an answer. A browser that
 * takes an answer for a page may load and run nothing. The page of the description has a policy of its own.
 */
export function makeAnswerHeaders({
  httpsOnly,
}: {
  httpsOnly: boolean;
}): Readonly<Record<string, string>> {
  const protect = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: httpsOnly && { maxAge: 31_536_000, includeSubDomains: false },
    // These say nothing about an answer that is no page.
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xFrameOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  response.setHeader('Cache-Control', 'no-store');
  protect(request, response, (thrown) => {
    if (thrown) throw thrown;
  });
  const headers = Object.entries(response.getHeaders());
  return Object.freeze(Object.fromEntries(headers.map(([name, value]) => [name, String(value)])));
}
