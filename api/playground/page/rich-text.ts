// Shows the text of an answer: paragraphs, lists and code, in Markdown or in HTML. The elements are made here, one
// by one, so no markup of the text reaches the page.

import { element } from './element.js';

export function showRichText(text: string): HTMLElement {
  const isHtml = /<(p|pre|code|br|ul|ol|div)[\s>/]/i.test(text);
  return element('div', { class: 'prose' }, isHtml ? fromHtml(text) : fromMarkdown(text));
}

function fromMarkdown(text: string): Node[] {
  // Every second part is the inside of a fence.
  return text.split(/^```[^\n]*\n?/m).flatMap((part, at) => {
    if (at % 2 === 1) return [element('pre', {}, element('code', {}, part.replace(/\n$/, '')))];
    const blocks = part.split(/\n{2,}/).filter((block) => block.trim() !== '');
    return blocks.map(showBlock);
  });
}

function showBlock(block: string): Node {
  const lines = block.split('\n');
  if (lines.every((line) => /^( {4}|\t)/.test(line))) {
    const code = lines.map((line) => line.replace(/^( {4}|\t)/, '')).join('\n');
    return element('pre', {}, element('code', {}, code));
  }
  const bullet = /^\s*[-*] /;
  if (!lines.every((line) => bullet.test(line))) return element('p', {}, inline(block));
  const items = lines.map((line) => element('li', {}, inline(line.replace(bullet, ''))));
  return element('ul', {}, items);
}

function inline(text: string): Node[] {
  // Two backticks let code have one inside.
  const parts = text.split(/(``.+?``|`[^`]+`)/s);
  return parts.map((part, at) =>
    at % 2 === 0
      ? document.createTextNode(part)
      : element('code', {}, part.replace(/^`{1,2} ?| ?`{1,2}$/g, '')),
  );
}

const shown = new Set([
  ...['p', 'pre', 'code', 'ul', 'ol', 'li', 'em', 'strong', 'b', 'i', 'blockquote', 'br', 'kbd'],
]);
const dropped = new Set(['script', 'style', 'template', 'iframe', 'object', 'svg', 'math']);

/** The parsed document is never shown, and a document made like this runs nothing and loads nothing. */
function fromHtml(text: string): Node[] {
  return copy(new DOMParser().parseFromString(text, 'text/html').body);
}

function copy(parent: Node): Node[] {
  return [...parent.childNodes].flatMap((node): Node[] => {
    if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.textContent ?? '')];
    if (!(node instanceof Element)) return [];
    const tag = node.localName;
    if (dropped.has(tag)) return [];
    if (tag === 'a') return [showLink(node)];
    if (!shown.has(tag)) return copy(node);
    return [element(tag as 'p', {}, copy(node))];
  });
}

function showLink(link: Element): Node {
  const address = link.getAttribute('href') ?? '';
  if (!/^https?:\/\//i.test(address)) return element('span', {}, copy(link));
  return element('a', { href: address, rel: 'noreferrer noopener', target: '_blank' }, copy(link));
}
