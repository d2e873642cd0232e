// What the objects refer to and nobody generates, because it is secret or belongs to others. Kubernetes accepts the objects
// without it, and their pods wait for it.

import { keysFile } from './keys.js';
import { gatewayNamespace } from './names.js';
import { caKey, caSecretOf, certificateSecretOf, redisSecret } from './redis-place.js';
import { connectionStringKey, headersKey } from './telemetry.js';
import type { Values } from './values.js';
import { webhookSecretsKey } from './webhooks.js';

/** An object that the operator makes. */
export interface Needed {
  readonly kind: 'Secret' | 'ConfigMap' | 'PersistentVolumeClaim';
  readonly namespace: string;
  readonly name: string;
  /** How kubectl makes it, with … for what only the operator knows. A volume can be made in too many ways. */
  readonly command?: string;
}

/** Returns what has to be in the cluster beside the generated objects. */
export function listNeeded(values: Values): Needed[] {
  const { api, images, telemetry, redis, namespace } = values;
  const secret = (name: string | undefined, kind: string, parts: string, place = namespace) =>
    make({ kind: 'Secret', namespace: place, name }, `secret ${kind}`, parts);
  const generic = (name: string | undefined, parts: string) => secret(name, 'generic', parts);
  const literal = (name: string | undefined, key: string, value = '…') =>
    generic(name, `--from-literal=${key}=${value}`);
  const tls = (name: string | undefined, file: string, place?: string) =>
    secret(name, 'tls', `--cert=${file}.crt --key=${file}.key`, place);

  // A Key Vault brings the password.
  const password = values.azure ? undefined : redisSecret.name;
  const entrance = certificateOf(values);
  return [
    literal(password, redisSecret.key, redis.kind === 'in-cluster' ? random('-hex 24') : undefined),
    generic(caSecretOf(values), `--from-file=${caKey}`),
    tls(certificateSecretOf(values), 'client'),
    secret(
      images.pullSecret,
      'docker-registry',
      '--docker-server=… --docker-username=… --docker-password=…',
    ),
    generic(api.keysSecret, `--from-file=${keysFile}`),
    literal(api.webhookSecret, webhookSecretsKey, random('-base64 32', 'whsec_')),
    generic(values.environmentSecret, '--from-env-file=…'),
    literal(telemetry.connectionStringSecret, connectionStringKey),
    literal(telemetry.otlp?.headersSecret, headersKey),
    tls(entrance?.secret, 'tls', entrance?.namespace),
    make(
      { kind: 'ConfigMap', namespace, name: values.authoritiesConfigMap },
      'configmap',
      `--from-file=${caKey}`,
    ),
    ...claimsOf(values),
  ].flat();
}

function make(
  { name, ...object }: Omit<Needed, 'name'> & { name: string | undefined },
  what: string,
  parts: string,
): Needed[] {
  if (name === undefined) return [];
  const command = `kubectl -n ${object.namespace} create ${what} ${name} ${parts}`;
  return [{ ...object, name, command }];
}

function random(form: string, before = ''): string {
  return `"${before}$(openssl rand ${form})"`;
}

function certificateOf({ entrance, namespace }: Values) {
  if (entrance.kind === 'none' || !('secret' in entrance.certificate)) return undefined;
  const isGateway = entrance.kind === 'gateway';
  return {
    secret: entrance.certificate.secret,
    namespace: isGateway ? gatewayNamespace(namespace) : namespace,
  };
}

function claimsOf({ modelFolder, downloadCache, namespace }: Values): Needed[] {
  const names = [
    ...(modelFolder.from === 'volume' ? [modelFolder.claim] : []),
    ...(downloadCache ? [downloadCache.claim] : []),
  ];
  return names.map((name) => ({ kind: 'PersistentVolumeClaim', namespace, name }));
}
