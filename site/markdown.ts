// Renders chapters: the door to marked. Chapters are ours, so the HTML in them is passed on.

import { Marked, Renderer, type Token, type Tokens } from 'marked';
import { escapeText } from '../api/pages/html.js';
import { makeAnchors, type Target } from './addresses.js';
import type { Section } from './search-index.js';

export interface Rendered {
  readonly html: string;
  /** The headings of the second level. */
  readonly contents: readonly { readonly anchor: string; readonly title: string }[];
  /** Everything that can be found, by the heading above it. */
  readonly sections: readonly Section[];
}

/** @param resolve finds out where a link leads */
export function renderChapter(text: string, resolve: (href: string) => Target): Rendered {
  const anchorOf = makeAnchors();
  const contents: { anchor: string; title: string }[] = [];
  const sections: { anchor: string; title: string; text: string }[] = [];
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, anchor = '' }: Tokens.Heading & { anchor?: string }) {
        const inner = this.parser.parseInline(tokens);
        if (depth === 1) return `<h1 id="${anchor}">${inner}</h1>\n`;
        return `<h${depth} id="${anchor}">${inner} <a class="anchor" href="#${anchor}" aria-label="Link to this part">#</a></h${depth}>\n`;
      },
      link({ href, tokens }) {
        return writeLink(resolve(href), this.parser.parseInline(tokens));
      },
      image({ href, text: alt }) {
        const target = resolve(href);
        if (target.kind === 'file') return escapeText(alt);
        return `<img src="${escapeText(target.address)}" alt="${escapeText(alt)}" loading="lazy">`;
      },
      codespan({ text: code }) {
        // A long name may go on in the next line of a narrow column.
        return `<code>${escapeText(code).replace(/[_/](?=\w)/g, '$&<wbr>')}</code>`;
      },
      code({ text: code }) {
        return `<pre tabindex="0"><code>${escapeText(code)}</code></pre>\n`;
      },
      tablecell(token) {
        const cell = Renderer.prototype.tablecell.call(this, token);
        // A header says something.
        return cell.replace(/^<th><\/th>/, '<td></td>');
      },
      table(token) {
        return `<div class="wide" tabindex="0" role="group" aria-label="Table">${Renderer.prototype.table.call(this, token)}</div>\n`;
      },
    },
  });
  const tokens = marked.lexer(text);
  for (const token of tokens) {
    if (token.type === 'heading') {
      const title = inlineText(token.tokens ?? []);
      const anchor = anchorOf(title);
      Object.assign(token, { anchor });
      if (token.depth === 2) contents.push({ anchor, title });
      sections.push({ anchor, title, text: '' });
    } else {
      const section = sections.at(-1);
      if (section) section.text = `${section.text} ${plainText([token])}`.trim();
    }
  }
  return { html: marked.parser(tokens), contents, sections };
}

function writeLink(target: Target, inner: string): string {
  if (target.kind === 'file') {
    return `<span class="file" title="${escapeText(target.file)} in the repository">${inner}</span>`;
  }
  const address = escapeText(target.address);
  if (target.kind === 'inside') return `<a href="${address}">${inner}</a>`;
  return `<a href="${address}" rel="noreferrer">${inner}</a>`;
}

/** Returns the words of a part, without its form. */
function plainText(tokens: readonly Token[]): string {
  return tokens.map(wordsOf).join(' ').replace(/\s+/g, ' ').trim();
}

function wordsOf(token: Token): string {
  if (token.type === 'html') return '';
  if (token.type === 'table') {
    const { header, rows } = token as Tokens.Table;
    return [header, ...rows]
      .flat()
      .map(({ tokens }) => inlineText(tokens))
      .join(' ');
  }
  if (token.type === 'list') {
    return (token as Tokens.List).items.map(({ tokens }) => plainText(tokens)).join(' ');
  }
  const inner = 'tokens' in token ? token.tokens : undefined;
  if (inner) return token.type === 'blockquote' ? plainText(inner) : inlineText(inner);
  return 'text' in token ? String(token.text) : '';
}

/** The pieces of a line belong together: `a`, `b` are one word in a**b**. */
function inlineText(tokens: readonly Token[]): string {
  return tokens.map(wordsOf).join('');
}
