// The description as a page. It is made here, so a browser needs no script, nothing from other addresses, and
// no more than this one answer.

import { errorTable } from '../../../shared/errors.js';
import { type Child, Html, html, prose } from '../../pages/html.js';
import { policyFor } from '../../pages/policy.js';
import { headTags, topBar } from '../../pages/top.js';
import type { Document } from '../openapi.js';
import { groupsOf, OperationView } from './operation-view.js';
import { SchemaView } from './schema-view.js';
import { style } from './style.js';

/** The Content-Security-Policy of the page. */
export const pagePolicy = policyFor(style);

/** Writes the page of a document. */
export function writePage(document: Document): string {
  const { info, tags } = document;
  const view = new OperationView(document, new SchemaView(document));
  const sections = tags.map((tag) => {
    const groups = groupsOf(document, tag.name);
    return html`<section id="${idOf(tag.name)}"><h2>${tag.name}</h2>${prose(tag.description)}${groups.map((group) => view.show(group))}</section>`;
  });
  const page = html`<!doctype html>
<html lang="en">
<head>
${headTags(`${info.title} API`)}
<style>${new Html(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
${topBar({ root: '../', current: 'api' })}
<div class="frame">
<nav class="contents" aria-label="Contents">${contents(document)}</nav>
<main id="main" tabindex="-1">
<header><h1>${String(info.title)} <span class="version">${String(info.version)}</span></h1>
${prose(String(info.description))}
<p class="also">As an <a href="../openapi.json">OpenAPI document</a>, for tools. In the examples, <code>$URL</code> is the address of this service.</p>
${access(document)}</header>
${sections}
<section id="errors"><h2>Errors</h2>${errors()}</section>
</main>
</div>
</body>
</html>
`;
  return page.text;
}

function contents(document: Document): Html {
  const parts = document.tags.map((tag) => {
    const entries = groupsOf(document, tag.name).map(
      ({ operation }) =>
        html`<li><a href="#${operation.operationId}">${operation.summary}</a></li>`,
    );
    return html`<li><a href="#${idOf(tag.name)}">${tag.name}</a><ul>${entries}</ul></li>`;
  });
  return html`<ul>${parts}<li><a href="#errors">Errors</a></li></ul>`;
}

function access({ components: { securitySchemes = {} } }: Document): Child {
  const schemes = Object.values(securitySchemes);
  if (schemes.length === 0) return undefined;
  const rows = schemes.map(({ type, name, description }) => {
    const field = type === 'apiKey' ? `${name}: …` : 'Authorization: Bearer …';
    return html`<li><code>${field}</code> ${description}</li>`;
  });
  return html`<h2>Who asks</h2><ul>${rows}</ul>`;
}

function errors(): Html {
  const rows = Object.entries(errorTable).map(
    ([code, { status, retry, title }]) =>
      html`<tr><td><code>${code}</code></td><td>${status}</td><td>${retry ? 'yes' : 'no'}</td><td>${title}</td></tr>`,
  );
  return html`${prose('Programs should test `code`, which does not change. The column `retry` says whether the same request may succeed later.')}
<div class="wide" tabindex="0" role="group" aria-label="Errors"><table><thead><tr><th>code</th><th>status</th><th>retry</th><th>meaning</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

function idOf(tag: string): string {
  return tag.toLowerCase().replace(/[^a-z]+/g, '-');
}
