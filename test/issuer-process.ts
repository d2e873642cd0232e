// An OIDC issuer as a process of its own: oidc-provider, with the signature keys, clients and port that its
// parent passes. It signs with the first key. Each client may have a token with the scopes it asks for, and
// with the roles that are configured for it, as Entra ID has them. On pages, anybody can sign in with any name.

import process from 'node:process';
import { Provider } from 'oidc-provider';
import type { IssuerOptions } from './issuer.js';

const { port, keys, clients } = JSON.parse(process.argv[2] as string) as IssuerOptions;
const scope = 'score jobs admin Scoreline.Score';
const hasPage = Object.values(clients).some(({ page }) => page !== undefined);
const ofPrograms = {
  client_secret: 'secret',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
};
const ofPages = {
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code'],
  response_types: ['code'],
};

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys },
  clients: Object.entries(clients).map(([client_id, { page }]) => ({
    client_id,
    id_token_signed_response_alg: keys[0]?.alg,
    ...(page === undefined ? ofPrograms : { ...ofPages, redirect_uris: [page] }),
  })),
  clientBasedCORS: () => true,
  scopes: scope.split(' '),
  ttl: { ClientCredentials: 600 },
  extraTokenClaims: (_context: unknown, token: { clientId: string }) => ({
    roles: clients[token.clientId]?.roles,
  }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: hasPage },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:scoreline',
      useGrantedResource: () => true,
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
