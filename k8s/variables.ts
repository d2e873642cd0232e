// Variables of API and workers that are no settings of Scoreline: for Node, for libraries, and for Python programs.
// Among them may be the proxy by which the web is reached.

import type { INetworkPolicyEgressRule } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyEgressRule';
import type { IContainer } from 'kubernetes-models/v1/Container';
import { portOf, tcp } from './ports.js';
import type { Values } from './values.js';

/** Node takes the proxy only if this is set. */
const switchOfProxy = 'NODE_USE_ENV_PROXY';

/** The variables by name. */
export function variablesOf(values: Values): Readonly<Record<string, string>> {
  const { environment } = values;
  return { ...(proxiesOf(values).length > 0 && { [switchOfProxy]: '1' }), ...environment };
}

/** Variables whose values are secret. */
export function secretVariables({ environmentSecret: name }: Values): Pick<IContainer, 'envFrom'> {
  return name === undefined ? {} : { envFrom: [{ secretRef: { name } }] };
}

/** The names and addresses of the proxies. */
export function proxiesOf({ environment }: Values): [name: string, url: string][] {
  return Object.entries(environment).filter(
    ([name, url]) => /^https?_proxy$/i.test(name) && url !== '',
  );
}

/** A proxy has changing addresses, too. */
export function toProxy(values: Values): INetworkPolicyEgressRule[] {
  const ports = new Set(proxiesOf(values).map(([, url]) => portOf(url)));
  return ports.size === 0 ? [] : [{ ports: [...ports].map(tcp) }];
}
