// The bar at the top of pages, and what their heads have in common.

import { type Child, type Html, html } from './html.js';

const views = [
  { name: 'try', address: './', title: 'Try it' },
  { name: 'docs', address: 'docs', title: 'Docs' },
  { name: 'api', address: 'docs/api', title: 'API' },
] as const;
export type View = (typeof views)[number]['name'];

/**
 * Shows the bar.
 * @param options.root leads from the page to the address of the service, which may be behind a prefix: `./` or `../`
 * @param options.tools what stands at its end
 */
export function topBar(options: { root: string; current?: View; tools?: Child }): Html {
  const { root, current, tools } = options;
  const links = views.map(({ name, address, title }) => {
    const href = address === './' ? root : `${root}${address}`;
    return name === current
      ? html`<a href="${href}" aria-current="page">${title}</a>`
      : html`<a href="${href}">${title}</a>`;
  });
  return html`<header class="top">
<a class="brand" href="${root}"><span class="mark" aria-hidden="true"><span></span><span></span><span></span></span>Scoreline</a>
<nav class="views" aria-label="Pages">${links}</nav>
${tools}</header>`;
}

/** The tags that the head of each page begins with. The icon is inside, so it costs no request. */
export function headTags(title: string): Html {
  return html`<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="${icon}">`;
}

const icon = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0f6b5c"/><g fill="#fff"><rect x="7" y="8" width="18" height="4" rx="2"/><rect x="7" y="14" width="12" height="4" rx="2" opacity=".8"/><rect x="7" y="20" width="7" height="4" rx="2" opacity=".6"/></g></svg>',
)}`;
