// The sizes of V8's heap, for the images and for local runs alike. docs/design.md, decision 18, says
// what they are good for.
//
// The heap is the smaller part of what the processes take: request bodies, pixels and tensors lie
// outside it, and so does everything that ONNX Runtime allocates. So the heap may take half of the
// memory at most.

const megabyte = 1024 ** 2;
/** More than these gains nothing. */
const semiSpaceMegabytesMax = 64;
const initialOldMegabytesMax = 256;
/** V8's own limit on large machines. */
const oldMegabytesMax = 4096;

/** Returns V8's arguments for a process that may take this much memory. */
export function heapArguments(memoryBytes: number): string[] {
  const megabytes = memoryBytes / megabyte;
  const share = (part: number, max: number) =>
    Math.max(1, Math.min(Math.floor(megabytes * part), max));
  return [
    // V8 collects new objects when this much has been allocated; it takes up to three times as much.
    `--max-semi-space-size=${share(1 / 32, semiSpaceMegabytesMax)}`,
    // The whole heap is collected when it has grown to this size, and never before.
    `--initial-old-space-size=${share(1 / 8, initialOldMegabytesMax)}`,
    `--max-old-space-size=${share(1 / 2, oldMegabytesMax)}`,
  ];
}

/** Whether NODE_OPTIONS sets sizes of the heap itself. Then ours stay away. */
export function setsHeapSizes({ NODE_OPTIONS = '' }: NodeJS.ProcessEnv): boolean {
  return /-space-size/.test(NODE_OPTIONS);
}
