// An FAQ as Markdown: each question is a heading, and what follows is its answer. A list under a line
// `Also asked:` has paraphrases. Chapters are headings with others below them that have no answer, or have some
// text but do not read as a question.

import { invalid, type ReadEntry, type Skip } from './entries.js';

const heading = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/;
/** Makes the line above it a heading. */
const underline = /^ {0,3}(={2,}|-{2,})\s*$/;
/** Lines that are no paragraph, so nothing makes them a heading. */
const noParagraph = /^\s*$|^ {4}|^\t|^\s*([-*+>|]|\d+[.)])(\s|$)/;
const alsoAsked = /^\**also asked:?\**:?\s*$/i;
const item = /^\s*(?:[-*+]|\d+[.)])\s+(.*\S)\s*$/;
const fence = /^\s*(`{3,}(?!.*`)|~{3,})/;
const questionWord =
  /^(how|what|whats|why|when|where|who|whom|whose|which|can|could|do|does|did|is|are|was|were|will|would|should|shall|may|must|has|have|am)\b/i;

interface Section {
  readonly depth: number;
  readonly title: string;
  readonly line: number;
  readonly lines: string[];
}

/** @throws ScorelineError `configuration_invalid` */
export function readMarkdown(file: string, text: string, skip: Skip): ReadEntry[] {
  const sections = sectionsOf(text, skip);
  if (sections.length === 0) {
    throw invalid(file, [
      'expected headings, one for each question, as in "## How do I …?"; got none',
    ]);
  }
  return sections
    .filter((section, at) => {
      if (!isChapter(section, sections[at + 1])) return true;
      skip(`line ${section.line}`, describeChapter(section));
      return false;
    })
    .map(toEntry);
}

function sectionsOf(text: string, skip: Skip): Section[] {
  const sections: Section[] = [];
  const top: Section = { depth: 0, title: '', line: 0, lines: [] };
  const last = () => sections.at(-1) ?? top;
  const begin = (mark: string, title: string, line: number) =>
    sections.push({ depth: mark.length, title, line, lines: [] });
  const lines = text.replace(/^\ufeff/, '').split(/\r\n?|\n/);
  const start = endOfFrontMatter(lines);
  let code: { mark: string; line: number } | undefined;
  for (const [at, line] of lines.entries()) {
    const [, mark = ''] = fence.exec(line) ?? [];
    const [, marks, title = ''] = heading.exec(line) ?? [];
    if (at < start) top.lines.push(line);
    else if (code) {
      if (mark.startsWith(code.mark) && line.trim() === mark) code = undefined;
      last().lines.push(line);
    } else if (mark !== '') {
      code = { mark, line: at + 1 };
      last().lines.push(line);
    } else if (marks !== undefined) begin(marks, title, at + 1);
    else if (underline.test(line) && isParagraph(last().lines)) {
      const above = last().lines.pop() ?? '';
      begin(line.includes('=') ? '#' : '##', above.trim(), at);
    } else last().lines.push(line);
  }
  const lineOfText = top.lines.findIndex((line) => line.trim() !== '');
  if (lineOfText >= 0) skip(`line ${lineOfText + 1}`, 'the text above the first heading');
  if (code) {
    skip(`line ${code.line}`, 'headings in the code that begins here, since no line ends it');
  }
  return sections;
}

/** Whether the last line is a paragraph of its own. */
function isParagraph(lines: readonly string[]): boolean {
  const [above = '', line = ''] = ['', ...lines].slice(-2);
  return lines.length > 0 && !noParagraph.test(line) && !fence.test(line) && above.trim() === '';
}

function endOfFrontMatter(lines: readonly string[]): number {
  return lines[0]?.trimEnd() === '---'
    ? lines.findIndex((line, at) => at > 0 && /^(---|\.\.\.)\s*$/.test(line)) + 1
    : 0;
}

/** A heading that has others below it and is no question. */
function isChapter({ depth, title, lines }: Section, next: Section | undefined): boolean {
  const isParent = next !== undefined && next.depth > depth;
  const isQuestion = title.endsWith('?') || questionWord.test(title);
  return isParent && (lines.join('').trim() === '' || !isQuestion);
}

function describeChapter({ title, lines }: Section): string {
  const chapter = `the chapter ${JSON.stringify(title.slice(0, 80))}`;
  if (lines.join('').trim() === '') return chapter;
  return `${chapter} and its text. If it is a question, end it with "?"`;
}

/** What follows the list of paraphrases belongs to the answer. */
function toEntry({ title, line, lines }: Section): ReadEntry {
  const from = lines.findIndex((text) => alsoAsked.test(text.trim()));
  const answer = from < 0 ? lines : lines.slice(0, from);
  const paraphrases: string[] = [];
  let at = from + 1;
  for (; from >= 0 && at < lines.length; at++) {
    const text = lines[at] ?? '';
    const [, listed] = item.exec(text) ?? [];
    if (listed !== undefined) paraphrases.push(listed);
    // An item may go on in the next line.
    else if (/^\s+\S/.test(text) && paraphrases.length > 0) {
      paraphrases.push(`${paraphrases.pop()} ${text.trim()}`);
    } else if (text.trim() !== '') break;
  }
  const rest = from < 0 ? [] : lines.slice(at);
  return {
    question: title,
    // Spaces before a first line of code are part of it.
    answer: [...answer, ...rest]
      .join('\n')
      .replace(/^\s*\n/, '')
      .trimEnd(),
    paraphrases,
    place: `line ${line}`,
  };
}
