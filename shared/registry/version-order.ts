// The order of a model's versions. Runs of digits compare as numbers, so 10 comes after 9, and 1.10 after 1.9.

const collator = new Intl.Collator('en', { numeric: true });

/** Compares two versions: negative if the first one is newer, and so comes first. */
export function compareVersions(one: string, other: string): number {
  return collator.compare(other, one) || (one < other ? 1 : -1);
}
