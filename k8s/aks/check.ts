// Finds faults in the values of a cluster that Azure is to make: those that would show only after half of it has been made
// and paid for, or would never show, and nothing would work.

import type { Refuse } from '../refuse.js';
import type { Values } from '../values.js';
import { findGpuFault } from './gpu.js';
import { managedRedisPlace } from './redis.js';
import type { AksValues } from './values.js';

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** The add-ons of AKS run here: KEDA, and the collector of Prometheus. */
const systemNamespace = 'kube-system';

export function checkAks(values: Values, refuse: Refuse): void {
  checkGpuMachine(values, refuse);
  const { aks } = values;
  if (!aks) return;
  checkGpuPool(values, aks, refuse);
  checkManagedRedis(values, aks, refuse);
  checkNamespaces(values, refuse);
  checkGroups(values, refuse);
  checkCertificate(values, refuse);
}

function checkGpuMachine({ nodes }: Values, refuse: Refuse): void {
  const { machine } = nodes.gpu ?? {};
  const fault = machine === undefined ? undefined : findGpuFault(machine);
  if (fault !== undefined) refuse(['nodes', 'gpu', 'machine'], fault);
}

function checkGpuPool({ nodes }: Values, { machines }: AksValues, refuse: Refuse): void {
  if (nodes.gpu && nodes.gpu.machine === undefined) {
    refuse(
      ['nodes', 'gpu', 'machine'],
      'expected the type of the machines, because Azure makes them, such as Standard_NC4as_T4_v3',
    );
  }
  if (!nodes.gpu && (machines.gpu.max !== undefined || machines.gpu.min > 0)) {
    refuse(
      ['nodes', 'gpu'],
      'expected the machines with GPUs, because aks.machines.gpu counts them',
    );
  }
  if (nodes.gpu?.spot === 'only' && machines.gpu.min > 0) {
    refuse(
      ['aks', 'machines', 'gpu', 'min'],
      'expected 0, because spot machines may be taken away',
    );
  }
}

function checkManagedRedis(values: Values, { region, redisSku }: AksValues, refuse: Refuse): void {
  const { redis } = values;
  if (redis.kind !== 'azure') {
    if (redisSku === undefined) return;
    refuse(
      ['redis', 'kind'],
      'expected azure, because aks.redisSku is a size of Azure Managed Redis',
    );
    return;
  }
  const place = managedRedisPlace(redis.host);
  if (!place) {
    refuse(['redis', 'host'], 'expected NAME.REGION.redis.azure.net, because Azure makes it');
  } else if (place.region !== region) {
    refuse(['redis', 'host'], `expected the region of the cluster, ${region}`);
  }
}

function checkNamespaces({ keda, monitoring }: Values, refuse: Refuse): void {
  const needed = [
    ['keda', keda.namespaces, 'KEDA cannot ask Redis, and no worker ever comes'],
    ['monitoring', monitoring.namespaces, "Azure's Prometheus cannot reach the metrics"],
  ] as const;
  for (const [section, namespaces, otherwise] of needed) {
    if (namespaces.includes(systemNamespace)) continue;
    refuse(
      [section, 'namespaces'],
      `expected ${systemNamespace} among them; otherwise ${otherwise}`,
    );
  }
}

function checkGroups({ access }: Values, refuse: Refuse): void {
  for (const section of ['operators', 'viewers'] as const) {
    for (const [index, group] of access[section].entries()) {
      if (guid.test(group)) continue;
      refuse(['access', section, index], 'expected the object id of a group in Entra ID');
    }
  }
}

/** The identity of the pods reads one vault only. */
function checkCertificate({ entrance, azure }: Values, refuse: Refuse): void {
  if (entrance.kind !== 'gateway' || !('keyVaultUri' in entrance.certificate) || !azure) return;
  const { hostname } = new URL(entrance.certificate.keyVaultUri);
  if (hostname.split('.')[0] === azure.keyVault.toLowerCase()) return;
  refuse(
    ['entrance', 'certificate', 'keyVaultUri'],
    `expected a certificate in the Key Vault ${azure.keyVault}, which the identity may read`,
  );
}
