// What a run looks at in the containers of a Compose project.

import type { Compose } from '../cli/docker/compose.js';
import { docker } from '../cli/docker/docker.js';

const services = ['redis', 'api', 'worker'] as const;
export type Service = (typeof services)[number];

/** Each look is a command of Docker's, which costs more than looking into our own processes. */
export const lookEveryMs = 300;
/** Longer than any process takes to end in order. */
export const stopSeconds = '40';

/** As in cli/probe.ts, which is inside the images. */
const probes = {
  api: { port: 8080, path: '/v2/health/ready' },
  worker: { port: 8081, path: '/readyz' },
};

/** Whether each service has as many containers as wanted, all of which are ready. */
export async function areWell(compose: Compose, wanted: Record<Service, number>): Promise<boolean> {
  const checks = services.map(async (service) => {
    const ids = await compose.containersOf(service);
    const well = await Promise.all(ids.map((id) => isWell(service, id)));
    return ids.length === wanted[service] && well.every(Boolean);
  });
  return (await Promise.all(checks)).every(Boolean);
}

/** Asks a container whether it is ready. The health check of its image would notice later. */
export async function isWell(service: Service, id: string): Promise<boolean> {
  try {
    if (service === 'redis') return (await docker('exec', id, 'redis-cli', 'ping')) !== '';
    const { port, path } = probes[service];
    const published = (await docker('port', id, String(port))).trim();
    const signal = AbortSignal.timeout(2000);
    return (await fetch(`http://${published}${path}`, { signal })).ok;
  } catch {
    return false;
  }
}

export function isGone(id: string): Promise<boolean> {
  return docker('container', 'inspect', id).then(
    () => false,
    (error) => /no such container/i.test(error.message),
  );
}

/** Returns which API or worker did not end in order after SIGTERM, or ran out of memory. */
export async function findBadEnds(compose: Compose): Promise<string[]> {
  const reasons: string[] = [];
  for (const service of ['api', 'worker'] as const) {
    for (const id of await compose.containersOf(service)) {
      const format = '{{.Name}} {{.State.ExitCode}} {{.State.OOMKilled}}';
      const text = await docker('container', 'inspect', '--format', format, id);
      const [name, code, isOutOfMemory] = text.trim().split(' ');
      if (isOutOfMemory === 'true') reasons.push(`${name} ran out of memory`);
      else if (code !== '0') reasons.push(`${name} ended with ${code} after SIGTERM`);
    }
  }
  return reasons;
}
