// Files of questions and answers: all that they have is read, or it is said what is not.

import { describe, expect, test } from 'vitest';
import { checkEntries, type Entry, type ReadEntry, type Skip } from '../../faq/entries.js';
import { listTexts, listTwins } from '../../faq/members.js';
import { readCsv } from '../../faq/read-csv.js';
import { readJson } from '../../faq/read-json.js';
import { readMarkdown } from '../../faq/read-markdown.js';
import { readSnippets } from '../snippets.js';

type Reader = (file: string, text: string, skip: Skip) => ReadEntry[];

function read(reader: Reader, text: string) {
  const skipped: string[] = [];
  const entries = reader('f', text, (place, what) => skipped.push(`${place}: ${what}`));
  return { entries, skipped, questions: entries.map(({ question }) => question) };
}

describe('docs/faq.md', () => {
  const readers: Record<string, Reader> = { csv: readCsv, json: readJson, markdown: readMarkdown };
  const examples = readSnippets('docs/faq.md').filter(
    ({ language, code }) => language in readers && !code.includes('"predictions"'),
  );

  test('has an example of each form', () => {
    expect(examples.map(({ language }) => language)).toEqual(['csv', 'json', 'markdown']);
  });

  test.each(examples)('has a file that is taken, in $language', ({ language, code }) => {
    const { entries, skipped } = read(readers[language] as Reader, code);
    expect(checkEntries('f', entries)).toHaveLength(2);
    expect(skipped.filter((line) => !line.includes('chapter'))).toEqual([]);
  });
});

describe('Markdown', () => {
  test.each([
    ['another fence inside', '```\n~~~\n```'],
    ['a shorter fence inside', '````\n```\n````'],
    ['a fence with a word inside', '```\n```js\n```'],
    ['code between fences in a line', '```x``` is code'],
  ])('has a question below code with %s', (_, code) => {
    const { questions, entries, skipped } = read(readMarkdown, `# A?\n\n${code}\n\n# B?\n\nb\n`);
    expect([questions, skipped]).toEqual([['A?', 'B?'], []]);
    expect(entries[0]?.answer).toBe(code);
  });

  test('says where code begins that no line ends', () => {
    const { questions, skipped } = read(readMarkdown, '# A?\n\n```\n# B?\n');
    expect(questions).toEqual(['A?']);
    expect(skipped).toEqual([expect.stringMatching(/^line 3: headings in the code/)]);
  });

  test('has a question without a question mark that has an answer and details', () => {
    const { questions } = read(readMarkdown, '## How do I x\n\nSo.\n\n### Details\n\nLong.\n');
    expect(questions).toEqual(['How do I x', 'Details']);
  });

  test('says which chapters and which text it does not use', () => {
    const { questions, skipped } = read(
      readMarkdown,
      'Hello.\n\n# Orders\n\n## A?\n\na\n\n# Others\n\nText.\n\n## B?\n\nb\n',
    );
    expect(questions).toEqual(['A?', 'B?']);
    expect(skipped).toEqual([
      'line 1: the text above the first heading',
      'line 3: the chapter "Orders"',
      'line 9: the chapter "Others" and its text. If it is a question, end it with "?"',
    ]);
  });

  test('has questions that are underlined', () => {
    const { entries } = read(
      readMarkdown,
      'A?\n===\n\na\n\n---\n\n- b\n---\n\nB?\n---\nb\n\n| t |\n|---|\n\n## What is C#?\n\nc\n',
    );
    expect(entries.map(({ question, place }) => [question, place])).toEqual([
      ['A?', 'line 1'],
      ['B?', 'line 11'],
      ['What is C#?', 'line 18'],
    ]);
    expect(entries[0]?.answer).toBe('a\n\n---\n\n- b\n---');
  });

  test('has no questions in its front matter', () => {
    const { questions, skipped } = read(readMarkdown, '---\ntitle: x\n---\n# A?\n\na\n');
    expect(questions).toEqual(['A?']);
    expect(skipped).toEqual(['line 1: the text above the first heading']);
  });

  test('keeps the spaces before code that an answer begins with', () => {
    const { entries } = read(readMarkdown, '# A?\n\n \n    a\n    b\n\n# B?\n\nb\n');
    expect(entries[0]?.answer).toBe('    a\n    b');
  });

  test('may go on with the answer after its paraphrases', () => {
    const { entries } = read(
      readMarkdown,
      '# A?\n\nFirst.\n\nAlso asked:\n\n- a b\n  c\n1. d\n\nLast.\n- e\n',
    );
    expect(entries[0]).toMatchObject({
      answer: 'First.\n\nLast.\n- e',
      paraphrases: ['a b c', 'd'],
    });
  });
});

describe('CSV', () => {
  test.each(['paraphrase_1', 'Paraphrases (en)', 'paraphrase 2', 'paraphrase-3', 'PARAPHRASE4'])(
    'has paraphrases in a column "%s"',
    (name) => {
      const { entries, skipped } = read(readCsv, `question,answer,${name}\na,b,c\n`);
      expect([entries[0]?.paraphrases, skipped]).toEqual([['c'], []]);
    },
  );

  test('says which columns it does not use', () => {
    const { entries, skipped } = read(
      readCsv,
      'id,question,answer,question,Paraphrased by,\n1,a,b,c,me,\n',
    );
    expect(entries).toEqual([{ question: 'a', answer: 'b', paraphrases: [], place: 'line 2' }]);
    expect(skipped).toEqual([
      'line 1: column 1, "id"',
      'line 1: column 4, "question", since another before it is that already',
      'line 1: column 5, "Paraphrased by"',
    ]);
  });

  test('may have rows that end before their last columns', () => {
    const { entries } = read(readCsv, 'question,answer,paraphrases\na,b\nc,d,e\nf\n');
    expect(entries.map(({ answer, paraphrases }) => [answer, paraphrases])).toEqual([
      ['b', []],
      ['d', ['e']],
      ['', []],
    ]);
  });

  test.each([
    ["the line of a spreadsheet's delimiter", 'sep=;\r\nquestion;answer\r\na,1;b\r\nc;d\r\n'],
    ['names in the plural', 'Questions;Answers\na,1;b\nc;d\n'],
    ['lines that end with CR', 'question;answer\ra,1;b\rc;d\r'],
    ['commas in a name', 'question;answer;a, b, c, d\na,1;b;\nc;d;\n'],
    ['commas in quotes', '"question";"answer";"x,y,z,w"\na,1;b;\nc;d;\n'],
    ['tabs', '\ufeffquestion\tanswer\tx;y;z;w\na,1\tb\t\nc\td\t\n'],
  ])('may have %s', (_, text) => {
    const { entries } = read(readCsv, text);
    expect(entries.map(({ question, answer }) => [question, answer])).toEqual([
      ['a,1', 'b'],
      ['c', 'd'],
    ]);
  });
});

describe('JSON', () => {
  test('says which keys it does not use, each once', () => {
    const one = { question: 'a', answer: 'b', paraphrase: ['c'], id: 1 };
    const { skipped } = read(readJson, JSON.stringify([one, { ...one, tag: 'x' }]));
    expect(skipped).toEqual([
      'entry 1: the key "paraphrase"',
      'entry 1: the key "id"',
      'entry 2: the key "tag"',
    ]);
  });
});

describe('entries', () => {
  const check = (...entries: [question: string, answer: string][]) =>
    checkEntries(
      'f',
      entries.map(([question, answer], at) => ({
        ...{ question, answer, paraphrases: [], place: `line ${at + 2}` },
      })),
    );

  test.each([
    ['accents in another form', 'caf\u00e9?', 'cafe\u0301?'],
    ['typographic quotes', "what's it?", 'What\u2019s  it?'],
    ['letters of full width', 'abc', '\uff21\uff22\uff23'],
  ])('are the same question with %s', (_, one, other) => {
    expect(() => check([one, 'a'], [other, 'b'])).toThrow('f: line 3: expected each question');
  });

  test.each([
    ['a long answer', 'q', 'x'.repeat(5001), 'line 2: expected at most 5000 characters; got 5001'],
    ['a text that grows', 'q', '\ufdfa'.repeat(300), 'line 2: expected at most 5000 characters'],
    ['half a character', '\ud83d?', 'a', 'line 2: expected Unicode; got half of a surrogate pair'],
    ['nothing to see', '\u200b', 'a', 'line 2: expected letters, digits or symbols; got none'],
  ])('have not %s', (_, question, answer, reason) => {
    expect(() => check([question, answer], ['other', 'b'])).toThrow(`f: ${reason}`);
  });
});

test('questions with the same embedding are twins, if they are not one', () => {
  const entry = (question: string, paraphrase: string): Entry => ({
    ...{ question, answer: 'a', paraphrases: [paraphrase] },
  });
  const texts = listTexts([entry('a', 'b'), entry('c', 'd')]);
  const vectors = Float32Array.of(1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0);
  const members = { dimension: 2, vectors, questions: texts.map(({ question }) => question) };
  const pairs = listTwins(members, texts).map(([one, other]) => [one.text, other.text]);
  expect(pairs).toEqual([['a', 'd']]);
});
