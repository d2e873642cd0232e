// What the search of the site looks through: the parts of all chapters as plain text. The browser loads it when
// somebody searches.

export interface Section {
  readonly anchor: string;
  readonly title: string;
  readonly text: string;
}

export interface SearchIndex {
  readonly chapters: readonly {
    readonly name: string;
    readonly title: string;
    readonly sections: readonly Section[];
  }[];
}

export interface Hit {
  readonly chapter: string;
  readonly chapterTitle: string;
  readonly anchor: string;
  readonly title: string;
  /** A piece of the text around the first word that was found. */
  readonly excerpt: string;
}

interface Places {
  readonly chapter: string;
  readonly title: string;
  readonly text: string;
}

const hitsMax = 12;
const excerptLength = 140;
/** A word in a heading says more than one in a text, which says more the more often it comes. */
const weights = { chapter: 12, title: 8, text: 1 } as const;
/** How often a word in a text counts at most: less than a heading. */
const timesMax = 5;

/** Finds the parts that have all words, each as the beginning of a word. The best ones come first. */
export function search({ chapters }: SearchIndex, query: string): Hit[] {
  const words = query.toLowerCase().match(/[\p{L}\p{N}_./-]+/gu) ?? [];
  if (words.length === 0) return [];
  const found: (Hit & { readonly weight: number })[] = [];
  for (const { name, title: chapterTitle, sections } of chapters) {
    for (const { anchor, title, text } of sections) {
      const places = { chapter: chapterTitle, title, text };
      const each = words.map((word) => weightOf(word, places));
      if (each.includes(0)) continue;
      const weight = each.reduce((sum, one) => sum + one, 0);
      const excerpt = excerptOf(text, words);
      found.push({ chapter: name, chapterTitle, anchor, title, excerpt, weight });
    }
  }
  return found.toSorted((one, other) => other.weight - one.weight).slice(0, hitsMax);
}

function weightOf(word: string, { chapter, title, text }: Places): number {
  return (
    weights.chapter * countWord(chapter, word, 1) +
    weights.title * countWord(title, word, 1) +
    weights.text * countWord(text, word, timesMax)
  );
}

/** Returns how many words begin with this one, up to a number. */
function countWord(text: string, word: string, timesMax: number): number {
  const lower = text.toLowerCase();
  let times = 0;
  let at = findWord(lower, word);
  while (at >= 0 && times < timesMax) {
    times++;
    at = findWord(lower, word, at + word.length);
  }
  return times;
}

/** Returns where a word begins with this one; -1 if none does. */
function findWord(lower: string, word: string, from = 0): number {
  let at = lower.indexOf(word, from);
  while (at > 0 && /[\p{L}\p{N}]/u.test(lower[at - 1] as string)) at = lower.indexOf(word, at + 1);
  return at;
}

function excerptOf(text: string, words: readonly string[]): string {
  const at =
    words.map((word) => findWord(text.toLowerCase(), word)).find((place) => place >= 0) ?? 0;
  const from = at < 60 ? 0 : text.indexOf(' ', at - 50) + 1;
  const piece = text.slice(from, from + excerptLength);
  return `${from > 0 ? '… ' : ''}${piece}${from + excerptLength < text.length ? ' …' : ''}`;
}
