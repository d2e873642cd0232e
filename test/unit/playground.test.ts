// The parts of the page that need no browser.

import { describe, expect, test } from 'vitest';
import { exact, ms, percent, rounded, scoreWriter } from '../../api/playground/page/format.js';
import { readFragment } from '../../api/playground/page/fragment.js';
import { type Prose, readProse } from '../../api/playground/page/prose.js';
import { type Sent, snippetsOf } from '../../api/playground/page/snippets.js';
import { type Column, checkCell, showCategory } from '../../api/playground/page/table-cell.js';
import { blankOf, type Declared, readTensor } from '../../api/playground/page/tensor-text.js';
import { manifestSchema } from '../../shared/manifest/manifest.js';
import { sampleManifest } from './sample-model.js';

describe('a cell of a table', () => {
  const number: Column = { name: 'area', datatype: 'number' };
  const level: Column = { name: 'level', datatype: 'number', categories: [1, 2] };
  const colour: Column = { name: 'colour', datatype: 'category', missing: 'none' };
  const age: Column = { name: 'age', datatype: 'number', missing: 'NaN' };
  const workclass: Column = {
    name: 'workclass',
    datatype: 'category',
    categories: [' Private', ''],
  };

  test.each([
    [number, '3.5', 3.5],
    [number, ' -1e-3 ', -0.001],
    [number, '.5', 0.5],
    [level, '2', 2],
    [colour, 'red', 'red'],
    [colour, '', ''],
    [colour, ' a  b\n', ' a  b\n'],
    [workclass, ' Private', ' Private'],
    [workclass, '', ''],
    [age, ' ', null],
    [age, '-9007199254740992', -9007199254740992],
  ])('%o takes %j', (column, text, value) => {
    expect(checkCell(column, text)).toEqual({ value });
  });

  test.each([
    [number, '', 'Expected a number'],
    [number, '1,5', 'Expected a number, such as 3.5; got "1,5"'],
    [number, '0x10', 'got "0x10"'],
    [number, '1e999', 'got "1e999"'],
    [number, 'Infinity', 'got "Infinity"'],
    [level, '3', 'Expected one of 1, 2; got "3"'],
    [workclass, 'Private', 'Expected one of " Private", ""; got "Private"'],
    [age, '9007199254740993', '9007199254740993 would be 9007199254740992'],
  ])('%o refuses %j', (column, text, fault) => {
    expect(checkCell(column, text)).toEqual({ fault: expect.stringContaining(fault) });
  });
});

test('a category is in quotes if it would not be seen', () => {
  const shown = ['b c', '', ' a', 'b  c', 3].map(showCategory);
  expect(shown).toEqual(['b c', '""', '" a"', '"b  c"', '3']);
});

describe('a number', () => {
  test.each([
    [1234.5678, '1234.5678'],
    [16_777_213, '16777213'],
    [1e-7, '1e-7'],
    [-0, '-0'],
    [9_016_206_453_995_731_991n, '9016206453995731991'],
  ])('of an answer has all its digits: %s', (value, text) => {
    expect(exact(value)).toBe(text);
  });

  test.each([
    [0, '0 %'],
    [0.0004, '< 0.1 %'],
    [0.9994, '99.9 %'],
    [0.99996, '> 99.9 %'],
    [1, '100 %'],
  ])('of a share is no more and no less than it is: %s', (share, text) => {
    expect(percent(share)).toBe(text);
  });

  test('is a percentage only where all scores are shares', () => {
    const write = (scores: readonly number[]) => scores.map(scoreWriter(scores));
    expect(write([0.75, 0.25])).toEqual(['75.0 %', '25.0 %']);
    expect(write([7.25, 0.25, -0.001])).toEqual(['7.25', '0.25', '-0.001']);
  });

  test('of milliseconds becomes one of seconds before it has four digits', () => {
    expect([ms(999.4), ms(999.6)]).toEqual(['999 ms', '1 s']);
  });

  test('of a chart is rounded to a place, never to so many digits', () => {
    expect([rounded(12_345_678.4), rounded(3.25, 1)]).toEqual(['12,345,678', '3.3']);
  });
});

describe('a tensor', () => {
  const declared = (
    datatype: Declared['datatype'],
    shape: Declared['shape'] = [-1, 2],
  ): Declared => ({
    name: 'in',
    datatype,
    shape,
  });

  test.each([
    ['FP32', '1, 2', '[[1, 2.5]]', [1, 2.5]],
    ['FP32', '1 x 2', '1, 2', [1, 2]],
    ['INT8', '[1, 2]', '[-128, 127]', undefined],
    ['INT8', '1,2', '[-128, 127]', [-128, 127]],
    ['BYTES', '1,2', '["a", "b"]', ['a', 'b']],
    ['BOOL', '1,2', '[true, false]', [true, false]],
    ['INT64', '1,2', '[1, -9223372036854775808]', [1, '-9223372036854775808']],
    ['UINT64', '1,2', '[0, 18446744073709551615]', [0, '18446744073709551615']],
    ['FP32', '1,2', '["NaN", "-Infinity"]', ['NaN', '-Infinity']],
  ] as const)('of %s is read from %j and %j', (datatype, shape, data, elements) => {
    const read = readTensor(declared(datatype), { shape, data });
    if (elements === undefined) expect(read).toMatchObject({ field: 'shape' });
    else expect(read).toEqual({ tensor: { name: 'in', datatype, shape: [1, 2], data: elements } });
  });

  test.each([
    ['FP32', '2', '[1, 2]', 'shape', 'Expected the shape [-1, 2]'],
    ['FP32', '1, 3', '[1, 2, 3]', 'shape', 'got [1, 3]'],
    ['FP32', 'a', '[1]', 'shape', 'Expected whole numbers'],
    ['FP32', '1, 2', '[1]', 'data', 'Expected 2 elements, as the shape [1, 2] says; got 1'],
    ['FP32', '1, 2', '[1, "2"]', 'data', 'Expected numbers for FP32; got "2"'],
    ['FP32', '1, 2', '[1, ', 'data', 'Expected a list in JSON'],
    ['INT8', '1, 2', '[1, 128]', 'data', 'from -128 to 127'],
    ['UINT8', '1, 2', '[1, -1]', 'data', 'from 0 to 255'],
    ['INT64', '1, 2', '[1, 9223372036854775808]', 'data', 'to 9223372036854775807 for INT64'],
    ['FP64', '1, 2', '[1, 1e999]', 'data', 'Expected numbers for FP64'],
    ['BYTES', '1, 2', '[1, 2]', 'data', 'Expected texts'],
  ] as const)('of %s is refused from %j and %j', (datatype, shape, data, field, fault) => {
    const read = readTensor(declared(datatype), { shape, data });
    expect(read).toEqual({ field, fault: expect.stringContaining(fault) });
  });

  test('begins with zeros of a shape that fits', () => {
    const any = declared('FP32', ['rows', 3]);
    expect(blankOf(any)).toEqual({ shape: '1, 3', data: '[0, 0, 0]' });
    expect(readTensor(any, blankOf(any))).toHaveProperty('tensor');
  });
});

describe('samples in a manifest', () => {
  const read = (changes: object) => manifestSchema.safeParse({ ...sampleManifest, ...changes });

  test('are texts for a model of texts', () => {
    expect(read({ samples: ['one', 'two'] }).data?.samples).toEqual(['one', 'two']);
  });

  test.each([
    ['a row for a text', { samples: [{ a: 1 }] }],
    [
      'pictures',
      { input: { kind: 'image', width: 8, height: 8, tensor: 'uint8-nhwc' }, samples: ['cat.jpg'] },
    ],
  ])('are refused: %s', (_, changes) => {
    const [issue] = read(changes).error?.issues ?? [];
    expect(issue?.path).toEqual(['samples', 0]);
    expect(issue?.message).toContain('expected samples for texts, tables and JSON only');
  });
});

describe('code to copy', () => {
  const sent: Sent = {
    url: 'https://example.com/ml/v1/models/m/score',
    body: { type: 'file', name: "it's.png", mediaType: 'image/png' },
    isGuarded: true,
    isLater: true,
  };
  const [curl, python, javascript] = snippetsOf(sent).map(({ code }) => code);

  test('names the key, never shows it, and asks for a job', () => {
    expect(curl).toContain('-H "Authorization: Bearer $KEY"');
    expect(python).toContain('os.environ["KEY"]');
    expect(javascript).toContain('process.env.KEY');
    for (const code of [curl, python, javascript]) expect(code).toContain('respond-async');
  });

  test('reads a file whose name has quotes', () => {
    expect(curl).toContain(`--data-binary '@it'\\''s.png'`);
    expect(python).toContain(`open("it's.png", "rb")`);
    expect(javascript).toContain(`readFile("it's.png")`);
  });

  const codeFor = (body: Sent['body']) => snippetsOf({ ...sent, body }).map(({ code }) => code);

  test('writes what is beyond four digits of Unicode as each language has it', () => {
    const [, writtenPython, writtenJavascript] = codeFor({
      ...{ type: 'file', name: 'é😀.png', mediaType: 'image/png' },
    });
    expect(writtenPython).toContain('open("\\u00e9\\U0001f600.png", "rb")');
    expect(writtenJavascript).toContain('readFile("\\u00e9\\ud83d\\ude00.png")');
  });

  test('has JSON as it was typed', () => {
    const json = '{"input": {\n"a": 1.0, "b": "it\'s é"}}';
    const [writtenCurl, writtenPython, writtenJavascript] = codeFor({ type: 'typed', json });
    expect(writtenCurl).toContain(`-H 'Content-Type: application/json'`);
    expect(writtenCurl).toContain(`-d '${json.replace("'", "'\\''")}'`);
    const quoted = JSON.stringify(json).replace('é', '\\u00e9');
    expect(writtenPython).toContain(`body = ${quoted}.encode()`);
    expect(writtenJavascript).toContain(`body: ${quoted},`);
  });

  test('gives curl a body by its input that is too long for an argument', () => {
    const value = { input: "it's ".repeat(30_000) };
    const [written = ''] = codeFor({ type: 'json', value });
    expect(written).toMatch(/--data-binary @- <<'JSON'\n\{.*\}\nJSON$/);
    expect(written).toContain(JSON.stringify(value));
  });
});

describe('the text of an answer', () => {
  /** Writes what is shown, with `[tag …]` for an element, so text that has tags is told apart. */
  const write = (prose: Prose): string =>
    typeof prose === 'string'
      ? prose
      : `[${prose.tag}${prose.href ? ` ${prose.href}` : ''}|${prose.children.map(write).join('')}]`;
  const shown = (text: string) => readProse(text).map(write).join('');

  test.each([
    [
      'Use the `<div>` element, never `<marquee>`',
      '[p|Use the [code|<div>] element, never [code|<marquee>]]',
    ],
    ['if a<b and c>d <br> <pre>', '[p|if a<b and c>d <br> <pre>]'],
    ['<div> is an element', '[p|<div> is an element]'],
    ['`<div>` and </div>', '[p|[code|<div>] and </div>]'],
    ['See:\n```html\n<p>\n\n~~~\n</p>\n```\nSo.', '[p|See:][pre|[code|<p>\n\n~~~\n</p>]][p|So.]'],
    ['````\n```\n````', '[pre|[code|```]]'],
    ['```\nno end', '[pre|[code|no end]]'],
    ['```code``` here', '[p|[code|code] here]'],
    [`${'`'.repeat(1_000_000)} a \``, `[p|${'`'.repeat(1_000_000)} a \`]`],
    ['`` a`b `` and ` alone', '[p|[code|a`b] and ` alone]'],
    ['- a\n- `b`', '[ul|[li|a][li|[code|b]]]'],
    ['    x\n    y', '[pre|[code|x\ny]]'],
    ['<img src=x onerror="ran = true">', '[p|<img src=x onerror="ran = true">]'],
  ])('is Markdown: %j', (text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  test.each([
    ['<p>a &lt; b &amp;lt; &#x41;&#66; &unknown;</p>', '[p|a < b &lt; AB &unknown;]'],
    ['<p>a<b and c>d</p>', '[p|a<b and c>d]'],
    ['<p>Use <code><div></code></p>', '[p|Use [code|<div>]]'],
    ['<p>1<img src="x" onerror="ran = true"></p>', '[p|1<img src="x" onerror="ran = true">]'],
    ['<div onclick="x()"><script>s</script></div>', '[div|<script>s</script>]'],
    ['<p>a<p>b<ul><li>c<li>d<ul><li>e</ul></ul>', '[p|a][p|b][ul|[li|c][li|d[ul|[li|e]]]]'],
    ['<h1>a</h1></p>b<br/>c</i></b>', '[p|a]b[br|]c'],
    ['<p><a href="https://a.example/?b&amp;c">d</a></p>', '[p|[a https://a.example/?b&c|d]]'],
    ["<p><a href='javascript:x()'>d</a></p>", '[p|[a|d]]'],
  ])('is HTML: %j', (text, expected) => {
    expect(shown(text)).toBe(expected);
  });
});

test('a fragment that is encoded wrong stays as it is', () => {
  expect(readFragment('#/try/%E0%A4/1')).toEqual(['try', '%E0%A4', '1']);
  expect(readFragment('#/try/a%20b')).toEqual(['try', 'a b']);
  expect(readFragment('')).toEqual(['']);
});
