/**
 * Counts the Unicode characters of a text, as JSON Schema and Python do. `length` counts those beyond U+FFFF twice.
 */
export function countCharacters(text: string): number {
  let characters = text.length;
  for (let at = 1; at < text.length; at++) {
    if (isLow(text.charCodeAt(at)) && isHigh(text.charCodeAt(at - 1))) characters--;
  }
  return characters;
}

/** Whether a text has more Unicode characters than that. They are counted only if the length leaves it open. */
export function isLonger(text: string, charactersMax: number): boolean {
  if (text.length <= charactersMax) return false;
  return text.length > 2 * charactersMax || countCharacters(text) > charactersMax;
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
