/** Lists texts for a message: so many of them, and how many more there are. */
export function listed(texts: readonly string[], max: number): string {
  const more = texts.length - max;
  const list = texts.slice(0, max).join(', ');
  return more > 0 ? `${list} and ${more} more` : list;
}
