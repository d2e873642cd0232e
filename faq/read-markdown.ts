// An FAQ as Markdown: each question is a heading, and what follows is its answer. A list at the end of an
// answer, under a line `Also asked:`, has paraphrases. Headings without an answer are chapters.

import { invalid, type ReadEntry } from './entries.js';

const heading = /^(#{1,6})\s+(.*?)\s*#*\s*$/;
const alsoAsked = /^\**also asked:?\**:?\s*$/i;
const item = /^\s*[-*+]\s+(.*\S)\s*$/;
const fence = /^\s*(```|~~~)/;

interface Section {
  readonly depth: number;
  readonly title: string;
  readonly line: number;
  readonly lines: string[];
}

/** @throws ScorelineError `configuration_invalid` */
export function readMarkdown(file: string, text: string): ReadEntry[] {
  const sections = sectionsOf(text);
  if (sections.length === 0) {
    throw invalid(file, [
      'expected headings, one for each question, as in "## How do I …?"; got none',
    ]);
  }
  return sections.filter((section, at) => !isChapter(section, sections[at + 1])).map(toEntry);
}

function sectionsOf(text: string): Section[] {
  const sections: Section[] = [];
  let isCode = false;
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (fence.test(line)) isCode = !isCode;
    const [, marks, title] = isCode ? [] : (heading.exec(line) ?? []);
    if (marks !== undefined) {
      sections.push({ depth: marks.length, title: title ?? '', line: at + 1, lines: [] });
    } else sections.at(-1)?.lines.push(line);
  }
  return sections;
}

/** A heading that has others below it and is no question. */
function isChapter({ depth, title, lines }: Section, next: Section | undefined): boolean {
  const isParent = next !== undefined && next.depth > depth;
  return isParent && (lines.join('').trim() === '' || !title.endsWith('?'));
}

function toEntry({ title, line, lines }: Section): ReadEntry {
  const from = lines.findIndex((text) => alsoAsked.test(text.trim()));
  const answer = from < 0 ? lines : lines.slice(0, from);
  const listed = from < 0 ? [] : lines.slice(from + 1);
  return {
    question: title,
    answer: answer.join('\n').trim(),
    paraphrases: listed.map((text) => item.exec(text)?.[1] ?? '').filter((text) => text !== ''),
    place: `line ${line}`,
  };
}
