// The page of a chapter.

import { type Child, Html, html } from '../api/pages/html.js';
import { headTags, topBar } from '../api/pages/top.js';
import { addressOf, rootOf } from './addresses.js';
import type { Chapter, Group } from './chapters.js';
import type { Rendered } from './markdown.js';

export function writeChapter(
  chapter: Chapter,
  { html: inner, contents }: Rendered,
  groups: readonly Group[],
): string {
  const root = rootOf(chapter);
  // Leads to the files of the site.
  const docs = chapter.name === 'index' ? 'docs/' : '../docs/';
  const title = chapter.name === 'index' ? 'Scoreline' : `${chapter.title} · Scoreline`;
  const page = html`<!doctype html>
<html lang="en" data-docs="${docs}">
<head>
${headTags(title)}
<link rel="stylesheet" href="${addressOf('style.css', chapter)}">
<script src="${addressOf('page.js', chapter)}"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
${topBar({ root, current: 'docs', tools })}
<div class="frame">
<nav class="chapters" id="chapters" aria-label="Chapters">${groups.map((group) => listGroup(group, chapter, contents))}</nav>
<main id="main" tabindex="-1"><article>${new Html(inner)}</article>
${neighbours(chapter, groups)}</main>
</div>
</body>
</html>
`;
  return page.text;
}

/** Without scripts there is nothing to search with or to switch, so both are hidden. */
const tools = html`<div class="tools">
<search hidden><label class="only-read" for="query">Search the docs</label><input id="query" type="search" placeholder="Search" autocomplete="off" spellcheck="false" aria-controls="hits"><div id="hits" class="hits" hidden></div><p id="found" class="only-read" role="status"></p></search>
<button id="menu" type="button" class="button" aria-controls="chapters" aria-expanded="false" hidden>Chapters</button>
<button id="theme" type="button" class="button" hidden>Dark</button>
</div>`;

function listGroup(
  { title, chapters }: Group,
  current: Chapter,
  contents: Rendered['contents'],
): Html {
  const items = chapters.map((chapter) => {
    const address = addressOf(chapter.name, current);
    if (chapter !== current) return html`<li><a href="${address}">${chapter.title}</a></li>`;
    const parts = contents.map(
      (part) => html`<li><a href="#${part.anchor}">${part.title}</a></li>`,
    );
    return html`<li><a href="${address}" aria-current="page">${chapter.title}</a>${parts.length > 0 ? html`<ul>${parts}</ul>` : undefined}</li>`;
  });
  return html`<h2>${title}</h2><ul>${items}</ul>`;
}

function neighbours(current: Chapter, groups: readonly Group[]): Html {
  const all = groups.flatMap(({ chapters }) => chapters);
  const at = all.indexOf(current);
  const link = (chapter: Chapter | undefined, rel: 'prev' | 'next'): Child =>
    chapter &&
    html`<a rel="${rel}" href="${addressOf(chapter.name, current)}"><small>${rel === 'prev' ? 'Before' : 'Next'}</small>${chapter.title}</a>`;
  return html`<nav class="neighbours" aria-label="Neighbouring chapters">${link(all[at - 1], 'prev')}${link(all[at + 1], 'next')}</nav>`;
}
