// Webhooks: the secrets that sign them, and where the API may send them. The hosts are in the settings of the API.

import type { INetworkPolicyEgressRule } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyEgressRule';
import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import { type WebhookHost, webhookShape } from '../shared/configuration/webhooks.js';
import { portOf, tcp } from './ports.js';
import type { Values } from './values.js';

export const webhookSecretsKey = 'secrets';

/** The public addresses, as far as a policy has to tell: the API itself looks at more ranges. */
const publicBlocks = [
  {
    cidr: '0.0.0.0/0',
    except: ['10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16'],
  },
  { cidr: '::/0', except: ['fc00::/7', 'fe80::/10'] },
];

export function webhookEnvironment({ api }: Values): IEnvVar[] {
  if (api.webhookSecret === undefined) return [];
  const secretKeyRef = { name: api.webhookSecret, key: webhookSecretsKey };
  return [{ name: 'WEBHOOK_SECRETS', valueFrom: { secretKeyRef } }];
}

/** Public addresses, and for each host the networks that its entry names. */
export function toWebhooks(values: Values): INetworkPolicyEgressRule[] {
  const hosts = webhookHosts(values);
  if (hosts.length === 0) return [];
  const ports = [...new Set(hosts.map(({ origin }) => portOf(origin)))].map(tcp);
  const inside = hosts.flatMap(({ networks, origin }) =>
    networks.length === 0
      ? []
      : [
          {
            to: networks.map((cidr) => ({ ipBlock: { cidr } })),
            ports: [tcp(portOf(origin))],
          },
        ],
  );
  return [{ to: publicBlocks.map((ipBlock) => ({ ipBlock })), ports }, ...inside];
}

function webhookHosts({ api }: Values): readonly WebhookHost[] {
  const { WEBHOOK_HOSTS } = api.settings;
  // An empty setting counts as unset.
  return webhookShape.WEBHOOK_HOSTS.parse(WEBHOOK_HOSTS || undefined);
}
