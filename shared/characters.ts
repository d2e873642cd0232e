/**
 * Counts the Unicode characters of a text, as JSON Schema and Python do. `length` counts those beyond U+FFFF twice.
 */
export function countCharacters(text: string): number {
  let characters = 0;
  for (const _ of text) characters++;
  return characters;
}

/** Whether a text has more Unicode characters than that. It is counted only if it may. */
export function isLonger(text: string, charactersMax: number): boolean {
  return text.length > charactersMax && countCharacters(text) > charactersMax;
}
