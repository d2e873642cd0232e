// How the clients of a run reach the API's Service from this machine: by its address in the cluster if that
// leads there, and otherwise through a pod that relays.

import { readFileSync } from 'node:fs';
import type { IPod } from 'kubernetes-models/v1/Pod';
import type { IService } from 'kubernetes-models/v1/Service';
import { apiName } from '../../k8s/api.js';
import type { Address } from '../client.js';
import { isHealthy } from '../service.js';
import { waitUntil } from '../wait.js';
import { type Kubectl, makeKubectl } from './kubectl.js';

export interface Route {
  readonly address: Address;
  readonly description: string;
  close(): void;
}

/** The relay needs a namespace of its own: in that of the service it could reach nothing. */
export function relayNamespace(namespace: string): string {
  return `${namespace}-relay`;
}

const relayPort = 8080;
const opensWithinMs = 60_000;

/** @param options.mustRelay whether to relay even if the Service can be reached directly */
export async function openRoute(options: {
  kubectl: Kubectl;
  /** An image with Node. */
  image: string;
  mustRelay: boolean;
}): Promise<Route> {
  const { kubectl } = options;
  const { spec } = await kubectl.read<IService>('get', 'service', apiName);
  const direct = { host: spec?.clusterIP ?? '', port: spec?.ports?.[0]?.port ?? 0 };
  if (!options.mustRelay && (await isHealthy(direct))) {
    return { address: direct, description: `directly, at ${direct.host}`, close() {} };
  }
  return openRelay(kubectl.namespace, direct.port, options.image);
}

async function openRelay(serviceNamespace: string, port: number, image: string): Promise<Route> {
  const namespace = relayNamespace(serviceNamespace);
  const kubectl = makeKubectl(namespace);
  await kubectl.run('create', 'namespace', namespace);
  const pod = makeRelay({ namespace, image, port, host: `${apiName}.${serviceNamespace}` });
  await kubectl.feed(JSON.stringify(pod), 'create', '--filename=-');
  await kubectl.run('wait', '--for=condition=Ready', 'pod/relay', `--timeout=${opensWithinMs}ms`);
  let forwarding = { close() {} };
  const address = await new Promise<Address>((resolve) => {
    forwarding = kubectl.follow(['port-forward', 'pod/relay', `:${relayPort}`], (line) => {
      const port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port !== undefined) resolve({ host: '127.0.0.1', port: Number(port) });
    });
  });
  if (!(await waitUntil(() => isHealthy(address), opensWithinMs))) {
    throw new Error('The relay does not reach the API.');
  }
  return { address, description: 'through a relay in a pod', close: forwarding.close };
}

function makeRelay(parts: { namespace: string; image: string; host: string; port: number }): IPod {
  const code = readFileSync(new URL('./relay.js', import.meta.url), 'utf8');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'relay', namespace: parts.namespace },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'relay',
          image: parts.image,
          command: ['node', '--input-type=module', '--eval', code],
          env: [
            { name: 'RELAY_HOST', value: parts.host },
            { name: 'RELAY_TO', value: `${parts.port}` },
            { name: 'RELAY_PORT', value: `${relayPort}` },
          ],
          readinessProbe: { tcpSocket: { port: relayPort }, periodSeconds: 1 },
        },
      ],
    },
  };
}
