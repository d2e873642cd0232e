// An OIDC issuer as a process of its own: oidc-provider, with the signature keys, clients and port that its
// parent passes. It signs with the first key. Each client may have a token with the scopes it asks for, and
// with the roles that are configured for it, as Entra ID has them.

import process from 'node:process';
import { Provider } from 'oidc-provider';
import type { IssuerOptions } from './issuer.js';

const { port, keys, clients } = JSON.parse(process.argv[2] as string) as IssuerOptions;
const scope = 'score jobs admin Scoreline.Score';

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys },
  clients: Object.keys(clients).map((client_id) => ({
    client_id,
    client_secret: 'secret',
    id_token_signed_response_alg: keys[0]?.alg,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  })),
  scopes: scope.split(' '),
  ttl: { ClientCredentials: 600 },
  extraTokenClaims: (_context: unknown, token: { clientId: string }) => ({
    roles: clients[token.clientId]?.roles,
  }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context: unknown, resource: string) => ({
        scope,
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: keys[0]?.alg } },
      }),
    },
  },
});
provider.listen(port, '127.0.0.1', () => process.send?.('ready'));
process.on('disconnect', () => process.exit());
