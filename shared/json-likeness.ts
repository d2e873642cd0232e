// Whether two values of JSON mean the same.

/** Whether values of JSON are the same, in any order of their keys, but for numbers that are near. */
export function areLike(
  one: unknown,
  other: unknown,
  areNear: (one: number, other: number) => boolean,
): boolean {
  if (typeof one === 'number' && typeof other === 'number') return areNear(one, other);
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) {
    return one === other;
  }
  const [keys, others] = [Object.keys(one), Object.keys(other)];
  const isEach = (key: string) =>
    Object.hasOwn(other, key) && areLike(Reflect.get(one, key), Reflect.get(other, key), areNear);
  return (
    Array.isArray(one) === Array.isArray(other) &&
    keys.length === others.length &&
    keys.every(isEach)
  );
}
