// Starts a real OIDC issuer for tests, and gets tokens from it.

import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT } from 'jose';
import { findFreePort } from '../cli/redis/redis.js';
import { root } from './harness.js';

export interface TestClient {
  readonly roles?: readonly string[];
  /** The page on which people sign in, if the client is one. */
  readonly page?: string;
}

export interface IssuerOptions {
  readonly port: number;
  /** With their private parts. */
  readonly keys: readonly JWK[];
  readonly clients: Readonly<Record<string, TestClient>>;
}

export interface TestIssuer {
  readonly url: string;
  /** The keys that it signs with, or did before a rotation. */
  readonly keys: readonly JWK[];
  /** Gets a token for a client, by the client credentials grant. */
  fetchToken(client: string, options?: { scope?: string; audience?: string }): Promise<string>;
  /** Starts it again with these keys, at the same address. */
  restart(keys: readonly JWK[]): Promise<void>;
  stop(): Promise<void>;
}

/** Makes a key that an issuer can sign with. */
export async function makeSigningKey(alg: 'RS256' | 'ES256' = 'ES256'): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), kid: randomUUID(), alg, use: 'sig' };
}

/** Signs claims as an issuer would that has this key. */
export async function signToken(key: JWK, claims: JWTPayload): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: String(key.alg), kid: String(key.kid), typ: 'at+jwt' })
    .sign(await importJWK(key));
}

export async function openIssuerProcess(
  options: Partial<Omit<IssuerOptions, 'port'>> = {},
): Promise<TestIssuer> {
  const { clients = { client: {} } } = options;
  const keys = [...(options.keys ?? [await makeSigningKey('RS256')])];
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;

  const start = async (keys: readonly JWK[]) => {
    const parameters: IssuerOptions = { port, keys, clients };
    child = fork(path.join(root, 'dist/test/issuer-process.js'), [JSON.stringify(parameters)], {
      // It warns of Node 20 and of its default settings.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const exited = once(child, 'exit').then(() => Promise.reject(new Error('The issuer exited.')));
    exited.catch(() => {});
    await Promise.race([once(child, 'message'), exited]);
  };
  const stop = async () => {
    const stopping = child;
    child = undefined;
    if (!stopping) return;
    const exited = once(stopping, 'exit');
    stopping.kill('SIGKILL');
    await exited;
  };

  await start(keys);
  return {
    url,
    keys,
    fetchToken: async (client, { scope = 'score', audience = 'urn:scoreline' } = {}) => {
      const response = await fetch(`${url}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(`${client}:secret`)}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', scope, resource: audience }),
      });
      const answer = (await response.json()) as { access_token?: string };
      if (answer.access_token) return answer.access_token;
      throw new Error(`Expected a token; got ${JSON.stringify(answer)}`);
    },
    restart: async (next) => {
      await stop();
      await start(next);
    },
    stop,
  };
}
