/** Resolves to what the promise resolves to; to undefined if it rejects, or after `ms` milliseconds. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  const outcome = await Promise.race([promise.catch(() => undefined), over]);
  clearTimeout(timer);
  return outcome;
}
