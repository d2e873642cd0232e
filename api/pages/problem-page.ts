// An error as a page, for a person who has opened an address in a browser.

import { errorTable, type ScorelineError } from '../../shared/errors.js';
import { Html, html } from './html.js';
import { policyFor } from './policy.js';
import { tokens } from './tokens.js';
import { headTags, topBar } from './top.js';

const style = `${tokens}
main { max-width: 44rem; margin: 0 auto; padding: 3rem 1.25rem; }
.status { color: var(--danger); font-weight: 600; margin: 0; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; font-weight: 650; margin: .2rem 0 1rem; }
p, dd { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .4rem 1.5rem; margin: 2rem 0 0;
  padding: 1.25rem; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); }
dt { color: var(--muted); }
dd { margin: 0; }
`;

export const problemPagePolicy = policyFor(style);

/** More of them only an attacker sends. */
const levelsMax = 50;

/** @param asked.path the address that was asked for, without its query */
export function writeProblemPage(
  error: ScorelineError,
  asked: { readonly path: string; readonly requestId: string },
): string {
  const { code, message, retryAfterSeconds } = error;
  const { status, title } = errorTable[code];
  const root = rootFrom(asked.path);
  const again =
    retryAfterSeconds !== undefined && html`<dt>Ask again</dt><dd>in ${retryAfterSeconds} s</dd>`;
  const page = html`<!doctype html>
<html lang="en">
<head>
${headTags(`${title} · Scoreline`)}
<style>${new Html(style)}</style>
</head>
<body>
${topBar({ root })}
<main>
<p class="status">${status}</p>
<h1>${title}</h1>
<p>${message}</p>
<dl>
<dt>Code</dt><dd><a href="${root}docs/errors#${code}"><code>${code}</code></a></dd>
<dt>Request</dt><dd><code>${asked.requestId}</code></dd>
${again || undefined}
</dl>
</main>
</body>
</html>
`;
  return page.text;
}

/** Leads from an address to that of the service, which may be behind a prefix. */
function rootFrom(path: string): string {
  const levels = Math.min(path.split('/').length - 2, levelsMax);
  return levels > 0 ? '../'.repeat(levels) : './';
}
