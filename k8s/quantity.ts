// Amounts of memory and processors, as people write them and as Kubernetes wants them.

/** Reads a size such as `512Mi` or `2Gi`. Returns mebibytes. */
export function parseMemory(size: string): number {
  const amount = Number.parseInt(size, 10);
  return size.endsWith('Gi') ? amount * 1024 : amount;
}

/**
 * What a container asks for. Memory is limited to what is asked for, so a process that grows is ended
 * instead of its neighbours. Processors are not limited: work may use what is idle, and a process that is
 * throttled in the middle of a batch would renew its locks late.
 */
export function resources(cpu: number, memoryMi: number) {
  const memory = formatMemory(memoryMi);
  return { requests: { cpu: formatCpu(cpu), memory }, limits: { memory } };
}

/** The inverse of `parseMemory`. */
export function formatMemory(mebibytes: number): string {
  return mebibytes % 1024 === 0 ? `${mebibytes / 1024}Gi` : `${mebibytes}Mi`;
}

function formatCpu(processors: number): string {
  return Number.isInteger(processors) ? `${processors}` : `${Math.round(processors * 1000)}m`;
}
