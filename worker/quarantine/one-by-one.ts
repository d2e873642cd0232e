/** Returns the same function, whose calls run one after the other. */
export function oneByOne<Given extends unknown[], Result>(
  act: (...given: Given) => Promise<Result>,
): (...given: Given) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (...given) => {
    const done = last.then(() => act(...given));
    last = done.catch(() => {});
    return done;
  };
}
