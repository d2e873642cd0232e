// The search. It loads what it looks through when somebody comes to its field.

import { type Hit, type SearchIndex, search } from '../search-index.js';
import { byId, element } from './elements.js';

export function makeSearch(): void {
  const field = byId<HTMLInputElement>('query');
  const hits = byId('hits');
  const found = byId('found');
  const frame = field.parentElement as HTMLElement;
  let loading: Promise<SearchIndex> | undefined;
  const load = () => {
    loading ??= fetch(`${docs}search.json`).then((answer) => answer.json());
    // The next one tries again.
    loading.catch(() => {
      loading = undefined;
    });
    return loading;
  };
  const close = () => {
    hits.hidden = true;
  };
  const show = async () => {
    const query = field.value.trim();
    if (query === '') {
      found.textContent = '';
      return close();
    }
    const index = await load().catch(() => undefined);
    // Somebody has typed on.
    if (field.value.trim() !== query) return;
    const best = index ? search(index, query) : [];
    const none = index ? `Nothing has “${query}”.` : 'The search cannot be loaded.';
    hits.replaceChildren(best.length > 0 ? listHits(best) : element('p', {}, none));
    hits.hidden = false;
    found.textContent = best.length > 0 ? `${best.length} parts found.` : none;
  };

  frame.hidden = false;
  field.addEventListener('focus', () => void load().catch(() => {}), { once: true });
  field.addEventListener('input', () => void show());
  field.addEventListener('focus', () => void show());
  frame.addEventListener('focusout', ({ relatedTarget }) => {
    if (!frame.contains(relatedTarget as Node | null)) close();
  });
  hits.addEventListener('click', close);
  frame.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      field.focus();
      close();
    }
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      if (moveFocus(hits, field, event.key === 'ArrowDown' ? 1 : -1)) event.preventDefault();
    }
    if (event.key === 'Enter' && event.target === field) {
      hits.querySelector<HTMLElement>('a')?.click();
    }
  });
  document.addEventListener('keydown', (event) => {
    const isTyping = event.target instanceof HTMLInputElement;
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    field.focus();
  });
}

/** Leads from this page to the files of the site. */
const { docs = '' } = document.documentElement.dataset;

function listHits(all: readonly Hit[]): HTMLElement {
  const items = all.map((hit) => {
    const address = hit.chapter === 'index' ? docs.replace(/\/$/, '') : `${docs}${hit.chapter}`;
    const title = element('strong', {}, hit.title);
    const where =
      hit.title === hit.chapterTitle ? [] : [' ', element('small', {}, hit.chapterTitle)];
    const excerpt = element('p', {}, hit.excerpt);
    return element(
      'li',
      {},
      element('a', { href: `${address}#${hit.anchor}` }, title, ...where, excerpt),
    );
  });
  return element('ol', {}, ...items);
}

/** Moves the focus between the field and what was found. Returns whether there is something. */
function moveFocus(hits: HTMLElement, field: HTMLElement, by: 1 | -1): boolean {
  if (hits.hidden) return false;
  const places = [field, ...hits.querySelectorAll<HTMLElement>('a')];
  const at = places.indexOf(document.activeElement as HTMLElement);
  places[Math.min(Math.max(at + by, 0), places.length - 1)]?.focus();
  return true;
}
