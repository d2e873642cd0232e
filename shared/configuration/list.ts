/** Splits a list whose parts are separated by commas. Blanks around them, empty parts and repeats are left out. */
export function splitList(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  return [...new Set(parts.filter((part) => part !== ''))];
}
