// Shows the text of an answer: paragraphs, lists and code, in Markdown or in HTML. The elements are made here, one
// by one, so no markup of the text reaches the page.

import { element } from './element.js';
import { type Prose, readProse } from './prose.js';

export function showRichText(text: string): HTMLElement {
  return element('div', { class: 'prose' }, readProse(text).map(show));
}

function show(prose: Prose): Node {
  if (typeof prose === 'string') return document.createTextNode(prose);
  const { tag, href, children } = prose;
  const shown = children.map(show);
  if (tag !== 'a') return element(tag as 'p', {}, shown);
  if (href === undefined) return element('span', {}, shown);
  return element('a', { href, rel: 'noreferrer noopener', target: '_blank' }, shown);
}
