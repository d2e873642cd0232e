// The docs as a site: no link is dead, and the search finds.

import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageDirectory } from '../../shared/version.js';
import { makeAnchors } from '../../site/addresses.js';
import { type Chapter, readChapters } from '../../site/chapters.js';
import { renderChapter } from '../../site/markdown.js';
import { type SearchIndex, search } from '../../site/search-index.js';
import { writeSite } from '../../site/site.js';
import { listPages } from '../snippets.js';

const root = packageDirectory();
const groups = readChapters(root);
const site = new Map([...writeSite(root, groups)].map(([name, text]) => [name, String(text)]));
const pages = [...site.keys()].filter((name) => name.endsWith('.html'));
const base = 'http://here/prefix/';
/** Addresses of the service that pages link to, and their script and search. */
const others = ['', 'docs/api', 'docs/page.js'];

function addressOf(file: string): string {
  return file === 'index.html' ? `${base}docs` : `${base}docs/${file.replace(/\.html$/, '')}`;
}

function idsIn(text: string): string[] {
  return [...text.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id as string);
}

/** Returns what the links of a page lead to, as a browser resolves them. */
function linksIn(file: string): URL[] {
  return [...(site.get(file) ?? '').matchAll(/ (?:href|src)="([^"]*)"/g)]
    .map(([, address]) => new URL((address as string).replaceAll('&amp;', '&'), addressOf(file)))
    .filter(({ protocol }) => protocol !== 'data:');
}

describe('the docs as a site', () => {
  test('have every page for people, each in one place', () => {
    const sources = groups.flatMap(({ chapters }) => chapters.map(({ source }) => source));
    expect(sources.toSorted()).toEqual([...listPages(), 'CHANGELOG.md'].toSorted());
  });

  test.each(pages)('%s has no dead link, behind a prefix either', (file) => {
    const known = new Map([...site.keys()].map((name) => [addressOf(name), site.get(name)]));
    const dead = linksIn(file).filter((link) => {
      const anchor = decodeURIComponent(link.hash.slice(1));
      link.hash = '';
      if (!link.href.startsWith(base)) return link.host === 'here';
      if (others.includes(link.href.slice(base.length))) return false;
      const text = known.get(link.href);
      return text === undefined || (anchor !== '' && !idsIn(text).includes(anchor));
    });
    expect(dead.map(({ href }) => href)).toEqual([]);
  });

  test.each(pages)('%s has each id once, one title, and no script or style inside', (file) => {
    const text = site.get(file) ?? '';
    const ids = idsIn(text);
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
    expect(text.match(/<h1/g)).toHaveLength(1);
    expect(text).not.toMatch(/<script>|<style| style="| on\w+="/);
  });
});

describe('a chapter', () => {
  const chapter: Chapter = { name: 'x', source: 'docs/x.md', text: '', title: 'X' };
  const render = (text: string) =>
    renderChapter(text, (href) =>
      href.startsWith('..')
        ? { kind: 'file', file: path.posix.join(path.dirname(chapter.source), href) }
        : { kind: 'inside', address: href },
    );

  test('escapes code, and shows a file of the repository without a link', () => {
    const { html } = render(
      'Say `<b>` and `A_B`.\n\n```html\n<script>\n```\n\nSee [it](../api/x.ts).',
    );
    expect(html).toContain('<code>&lt;b&gt;</code> and <code>A_<wbr>B</code>');
    expect(html).toContain('<pre tabindex="0"><code>&lt;script&gt;</code></pre>');
    expect(html).toContain('<span class="file" title="api/x.ts in the repository">it</span>');
  });

  test('has the anchors of a code host', () => {
    const anchorOf = makeAnchors();
    const headings = ['What `top` shows, and why', 'A_b-c: d & e', 'Twice', 'Twice'];
    expect(headings.map(anchorOf)).toEqual([
      'what-top-shows-and-why',
      'a_b-c-d--e',
      'twice',
      'twice-1',
    ]);
  });
});

describe('the search', () => {
  const index: SearchIndex = JSON.parse(site.get('search.json') ?? '');
  const find = (query: string) => search(index, query);

  test('finds the part whose heading has the words first', () => {
    expect(find('fair shares')[0]).toMatchObject({ chapter: 'access', anchor: 'fair-shares' });
    expect(find('webhook')[0]).toMatchObject({ chapter: 'webhooks' });
  });

  test('finds the part that has a word more often before one that comes earlier', () => {
    const sections = ['A kill.', 'Kill after kill.'].map((text, at) => ({
      anchor: `part-${at}`,
      title: 'Part',
      text,
    }));
    const chapters = [{ name: 'faults', title: 'Faults', sections }];
    const anchors = search({ chapters }, 'kill').map(({ anchor }) => anchor);
    expect(anchors).toEqual(['part-1', 'part-0']);
  });

  test('needs all words, and takes the beginning of a word', () => {
    expect(find('idempo').length).toBeGreaterThan(0);
    expect(find('idempotency xyzzy')).toEqual([]);
    expect(find('dempotency')).toEqual([]);
    expect(find(' ')).toEqual([]);
  });

  test('shows the text around what it has found', () => {
    expect(find('PERMITS_MAX')[0]?.excerpt).toContain('PERMITS_MAX');
  });
});
