// The parameters of main.bicep, which follow from the values. So the machines, accounts and Redis that
// Azure makes are those that the manifests ask for.

import { makeServiceAccounts } from '../access.js';
import { gatewayAccount } from '../entrance.js';
import { gatewayNamespace } from '../names.js';
import type { Plan } from '../plan.js';
import type { Values } from '../values.js';
import { hasPreference, makePools } from './pools.js';
import { managedRedisPlace } from './redis.js';
import type { AksValues } from './values.js';

export const parametersFile = 'aks.parameters.json';

/** Returns the file for `az deployment group create --parameters`; undefined if Azure makes no cluster. */
export function writeAksParameters(plan: Plan): string | undefined {
  const { aks } = plan.values;
  if (!aks) return undefined;
  const parameters = Object.entries(makeAksParameters(plan, aks)).map(([key, value]) => [
    key,
    { value },
  ]);
  const file = {
    $schema: 'https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#',
    contentVersion: '1.0.0.0',
    parameters: Object.fromEntries(parameters),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

function makeAksParameters(plan: Plan, aks: AksValues) {
  const { values } = plan;
  return {
    name: aks.name,
    location: aks.region,
    podAccounts: podAccounts(values),
    pools: makePools(plan, aks),
    expander: hasPreference(values) ? 'priority' : 'least-waste',
    managedRedis: managedRedis(values, aks),
    adminGroups: aks.administrators,
    userGroups: [...new Set([...values.access.operators, ...values.access.viewers])],
    apiServerRanges: aks.reachableFrom,
    hasDefender: aks.defender,
    hasDdosPlan: aks.ddosPlan,
  };
}

/** The accounts of all pods that use the identity: those of the manifests, and that of the gateway. */
function podAccounts(values: Values): string[] {
  const own = makeServiceAccounts(values).map(
    ({ metadata }) => [values.namespace, `${metadata?.name}`] as const,
  );
  const gateway =
    values.entrance.kind === 'gateway'
      ? [[gatewayNamespace(values.namespace), gatewayAccount] as const]
      : [];
  return [...own, ...gateway].map(
    ([namespace, name]) => `system:serviceaccount:${namespace}:${name}`,
  );
}

/** The smallest that Azure calls balanced. */
const redisSkuDefault = 'Balanced_B1';

function managedRedis({ redis }: Values, { redisSku }: AksValues) {
  if (redis.kind !== 'azure') return {};
  return {
    name: managedRedisPlace(redis.host)?.name ?? '',
    sku: redisSku ?? redisSkuDefault,
    clusteringPolicy: redis.clusteringPolicy,
  };
}
