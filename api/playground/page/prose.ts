// Reads the text of an answer, which is Markdown, or HTML if it begins with a block and ends with a closing tag.
//
// Nothing of the text may vanish: what is neither Markdown nor a known tag stays text, such as `a<b` or an
// `<img>`. The browser's parser never sees the text, so nothing of it runs or loads.

export type Prose = string | ProseElement;

export interface ProseElement {
  /** The element that shows it. */
  readonly tag: string;
  readonly href?: string;
  readonly children: readonly Prose[];
}

/** Returns what the text shows. */
export function readProse(text: string): Prose[] {
  return htmlDocument.test(text) ? readHtml(text.trim()) : readMarkdown(text);
}

const fence = /^ {0,3}(`{3,}(?!`|.*`)|~{3,})/;

function readMarkdown(text: string): Prose[] {
  const shown: Prose[] = [];
  let mark = '';
  let lines: string[] = [];
  const flush = () => {
    if (mark !== '') shown.push(makeCode(lines.join('\n')));
    else
      shown.push(
        ...lines
          .join('\n')
          .split(/\n{2,}/)
          .filter(isNotBlank)
          .map(readBlock),
      );
    lines = [];
  };
  for (const line of text.split(/\r?\n/)) {
    const [, found = ''] = fence.exec(line) ?? [];
    const isFence = mark === '' ? found !== '' : found.startsWith(mark) && line.trim() === found;
    if (isFence) {
      flush();
      mark = mark === '' ? found : '';
    } else lines.push(line);
  }
  if (lines.length > 0) flush();
  return shown;
}

function isNotBlank(text: string): boolean {
  return text.trim() !== '';
}

function readBlock(block: string): Prose {
  const lines = block.split('\n');
  if (lines.every((line) => /^( {4}|\t)/.test(line))) {
    return makeCode(lines.map((line) => line.replace(/^( {4}|\t)/, '')).join('\n'));
  }
  const bullet = /^\s*[-*] /;
  if (!lines.every((line) => bullet.test(line))) return { tag: 'p', children: readInline(block) };
  const items = lines.map((line) => ({
    tag: 'li',
    children: readInline(line.replace(bullet, '')),
  }));
  return { tag: 'ul', children: items };
}

function makeCode(text: string): Prose {
  return { tag: 'pre', children: [{ tag: 'code', children: [text] }] };
}

/** As many backticks end code as began it, so two let it have one inside. */
const inlineCode = /(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)/gs;

function readInline(text: string): Prose[] {
  const shown: Prose[] = [];
  let end = 0;
  for (const { 0: all, 2: code = '', index } of text.matchAll(inlineCode)) {
    if (index > end) shown.push(text.slice(end, index));
    shown.push({ tag: 'code', children: [code.replace(/^ (.+) $/s, '$1')] });
    end = index + all.length;
  }
  if (end < text.length) shown.push(text.slice(end));
  return shown;
}

const inlines = ['a', 'em', 'strong', 'b', 'i', 'u', 's', 'sub', 'sup', 'kbd', 'code', 'span'];
const blocks = [
  ...['p', 'pre', 'ul', 'ol', 'li', 'blockquote', 'div', 'section', 'article'],
  ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'dl', 'dt', 'dd'],
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td'],
];
const voids = ['br', 'hr'];
const known = new Set([...inlines, ...blocks, ...voids]);
const blockTags = new Set(blocks);
/** Blocks that have text only. Another block ends them. */
const paragraphs = new Set(['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6']);
/** A tag that begins while one of its siblings is open ends that one. */
const siblings = [['li'], ['dt', 'dd'], ['th', 'td'], ['tr']];

const attribute = String.raw`\s+[a-z:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+)`;
const htmlDocument = new RegExp(
  String.raw`^\s*<(?:${blocks.join('|')})(?:${attribute})*\s*>[^]*</[a-z]+[1-6]?\s*>\s*$`,
  'i',
);
/** Attributes have values here, so `a <b and c> d` has no tag. */
const htmlTag = new RegExp(
  String.raw`<(?<slash>/?)(?<name>[a-z]+[1-6]?)(?<attributes>(?:${attribute})*)\s*/?>`,
  'gi',
);

interface Open {
  /** The name in the text. */
  readonly name: string;
  readonly children: Prose[];
}

function readHtml(text: string): Prose[] {
  const root: Prose[] = [];
  const open: Open[] = [{ name: '', children: root }];
  const add = (prose: Prose) => {
    if (prose !== '') open.at(-1)?.children.push(prose);
  };
  let end = 0;
  for (const { 0: all, index, groups } of text.matchAll(htmlTag)) {
    const name = groups?.name?.toLowerCase() ?? '';
    if (isText(name, open)) continue;
    add(decode(text.slice(end, index)));
    end = index + all.length;
    if (groups?.slash) close(open, [name]);
    else {
      closeBefore(open, name);
      const children: Prose[] = [];
      add({ tag: tagOf(name), ...readHref(name, groups?.attributes), children });
      if (!voids.includes(name)) open.push({ name, children });
    }
  }
  add(decode(text.slice(end)));
  return root;
}

/** Code may be about tags. */
function isText(name: string, open: readonly Open[]): boolean {
  const isCode = open.some((each) => each.name === 'code');
  return isCode ? name !== 'pre' && !inlines.includes(name) : !known.has(name);
}

function close(open: Open[], names: readonly string[], outside = ''): void {
  const at = open.findLastIndex(({ name }) => names.includes(name));
  const isInside = open.slice(at + 1).some(({ name }) => outside.split(' ').includes(name));
  if (at > 0 && !(outside && isInside)) open.length = at;
}

function closeBefore(open: Open[], name: string): void {
  if (blockTags.has(name)) close(open, [...paragraphs]);
  const group = siblings.find((each) => each.includes(name));
  if (group) close(open, group, 'ul ol dl table');
}

/** Headings would be some of the page. */
function tagOf(name: string): string {
  if (/^h[1-6]$/.test(name)) return 'p';
  return name === 'section' || name === 'article' ? 'div' : name;
}

function readHref(name: string, attributes = ''): Pick<ProseElement, 'href'> {
  if (name !== 'a') return {};
  const [, value = ''] = /\shref\s*=\s*("[^"]*"|'[^']*'|\S+)/i.exec(attributes) ?? [];
  const href = decode(value.replace(/^(["'])(.*)\1$/s, '$2'));
  return /^https?:\/\//i.test(href) ? { href } : {};
}

const named: Readonly<Record<string, string>> = {
  ...{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', hellip: '…' },
  ...{ ndash: '–', mdash: '—', lsquo: '‘', rsquo: '’', ldquo: '“', rdquo: '”', laquo: '«' },
  ...{ raquo: '»', bull: '•', middot: '·', times: '×', rarr: '→', larr: '←', euro: '€' },
  ...{ copy: '©', reg: '®', trade: '™', deg: '°', le: '≤', ge: '≥', ne: '≠', sect: '§' },
  ...{ auml: 'ä', ouml: 'ö', uuml: 'ü', Auml: 'Ä', Ouml: 'Ö', Uuml: 'Ü', szlig: 'ß' },
  ...{ eacute: 'é', egrave: 'è', agrave: 'à', ccedil: 'ç' },
};

/** Replaces references to characters. Unknown ones stay as they are. */
function decode(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{2,8}));/gi, (all, ...groups) => {
    const [decimal, hex, name] = groups as (string | undefined)[];
    if (name !== undefined) return Object.hasOwn(named, name) ? (named[name] ?? all) : all;
    const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
  });
}
