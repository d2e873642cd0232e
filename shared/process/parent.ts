/** Calls `end` when the process that has forked this one is gone, also if it went before this call. */
export function whenParentIsGone(process: NodeJS.Process, end: () => void): void {
  process.on('disconnect', end);
  if (process.connected === false) end();
}
