// Which machines of Azure have a GPU that a worker can use. Azure's names say it: N for accelerators, then
// C, D or V for NVIDIA and AMD, then versions. How many there are in a region is for Azure to say (machines.ts).

/** Machines with GPUs of AMD, for which there is no CUDA: NVv4, NGads and those with an MI300X. */
const amd = /^Standard_(NV\d+as_v4|NG\w+|ND\w*_MI\d+X\w*)$/i;
const nvidia = /^Standard_N[CDV]\d\w*$/i;

/** Returns what was expected of a machine for GPUs; undefined if it is one, or none of Azure's. */
export function findGpuFault(machine: string): string | undefined {
  if (!/^Standard_/i.test(machine)) return undefined;
  if (amd.test(machine)) return 'expected a machine with a GPU of NVIDIA; this has one of AMD';
  if (nvidia.test(machine)) return undefined;
  return 'expected a machine with a GPU, whose name begins with Standard_NC, ND or NV, such as Standard_NC4as_T4_v3';
}
