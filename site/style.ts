// The style of the site, from phones to wide screens.

import { tokens } from '../api/pages/tokens.js';

export const style = `${tokens}
html { scroll-padding-top: 1rem; }
.only-read { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; margin: 0; }
.tools { display: flex; flex: 1; gap: .25rem; justify-content: flex-end; align-items: center; }
.button { min-block-size: 2.1rem; padding: .3rem .7rem; font: inherit; font-weight: 520; color: var(--muted);
  background: none; border: 1px solid transparent; border-radius: var(--radius); cursor: pointer; }
.button:hover, .button[aria-pressed='true'] { color: var(--accent); }
search { position: relative; flex: 0 1 17rem; min-inline-size: 0; }
search input { inline-size: 100%; font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--edge); border-radius: 8px; padding: .35rem .7rem; }
::placeholder { color: var(--muted); opacity: 1; }
.hits { position: absolute; z-index: 1; inset-inline-end: 0; inset-block-start: calc(100% + .4rem);
  inline-size: min(34rem, calc(100vw - 2.5rem)); max-block-size: 70vh; overflow-y: auto; padding: .4rem;
  background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius);
  box-shadow: 0 12px 32px rgb(0 0 0 / .18); }
.hits ol { list-style: none; margin: 0; padding: 0; }
.hits a { display: block; padding: .5rem .7rem; border-radius: 8px; color: var(--text); text-decoration: none; }
.hits a:hover, .hits a:focus-visible { background: var(--soft); }
.hits strong { font-weight: 600; }
.hits small { color: var(--muted); }
.hits p { margin: .1rem 0 0; color: var(--muted); font-size: .86rem; overflow-wrap: anywhere; }
.frame { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem; max-inline-size: 80.5rem; margin: 0 auto;
  padding: 1.5rem 1.25rem 4rem; }
.chapters { font-size: .93rem; }
.chapters h2 { font-size: .78rem; font-weight: 600; color: var(--muted); margin: 1.1rem 0 .2rem; }
.chapters h2:first-child { margin-block-start: 0; }
.chapters ul { list-style: none; margin: 0; padding: 0; }
.chapters a { display: block; padding: .25rem .7rem; margin-inline-start: -.7rem; border-radius: 8px;
  color: var(--text); text-decoration: none; }
.chapters a:hover { background: var(--sunken); color: var(--accent); }
.chapters a[aria-current] { color: var(--accent); background: var(--soft); font-weight: 560; }
.chapters ul ul { margin: .2rem 0 .4rem .7rem; padding-inline-start: .5rem; border-inline-start: 1px solid var(--line); }
.chapters ul ul a { color: var(--muted); font-size: .88rem; padding-block: .15rem; margin-inline-start: 0; }
main { min-inline-size: 0; }
article { background: var(--surface); border: 1px solid var(--line); border-radius: calc(var(--radius) + 4px);
  padding: 1.25rem; overflow-wrap: break-word; }
article > :first-child { margin-block-start: 0; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; font-weight: 650; margin: 0 0 1rem; }
article h2 { font-size: 1.3rem; font-weight: 620; margin: 2.4rem 0 .6rem; }
article h3 { font-size: 1.05rem; font-weight: 620; margin: 1.8rem 0 .5rem; }
article h4 { font-size: .95rem; font-weight: 620; margin: 1.4rem 0 .4rem; }
.anchor { color: var(--muted); text-decoration: none; font-weight: 400; opacity: 0; }
:is(h2, h3, h4):hover > .anchor, .anchor:focus-visible { opacity: 1; }
article p, article ul, article ol { margin: .7rem 0; }
article :is(ul, ol) { padding-inline-start: 1.4rem; }
article li { margin: .25rem 0; }
article :not(pre) > code { background: var(--sunken); border: 1px solid var(--line); border-radius: 5px;
  padding: .05em .3em; }
pre { background: var(--sunken); border: 1px solid var(--line); border-radius: var(--radius); padding: .8rem 1rem;
  overflow-x: auto; line-height: 1.5; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; inline-size: 100%; font-size: .92rem; }
th, td { text-align: start; vertical-align: top; padding: .45rem .8rem .45rem 0; border-block-start: 1px solid var(--line); }
th { border-block-start: 0; color: var(--muted); font-weight: 560; }
td:last-child { min-inline-size: 11rem; overflow-wrap: anywhere; }
tr:has(:target) { background: var(--soft); }
blockquote { margin: 1rem 0; padding-inline-start: 1rem; border-inline-start: 3px solid var(--line); color: var(--muted); }
article img { max-inline-size: 100%; block-size: auto; background: #fff; border-radius: 8px; }
.neighbours { display: flex; flex-wrap: wrap; gap: .75rem; margin-block-start: 1rem; }
.neighbours a { flex: 1 1 14rem; padding: .7rem 1rem; border: 1px solid var(--line); border-radius: var(--radius);
  background: var(--surface); text-decoration: none; font-weight: 560; }
.neighbours a:hover { border-color: var(--accent); }
.neighbours small { display: block; color: var(--muted); font-weight: 400; }
.neighbours [rel='next'] { text-align: end; }
@media (width < 60rem) {
  .scripted .chapters:not(.open) { display: none; }
  .chapters { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius);
    padding: 1rem 1.5rem; }
  .frame { padding-inline: .75rem; padding-block-start: .75rem; }
  .tools { flex-basis: 100%; justify-content: flex-start; }
  search { flex: 1; }
  .hits { inset-inline: 0 auto; }
}
@media (width >= 60rem) {
  #menu { display: none; }
  .frame { grid-template-columns: 16.5rem minmax(0, 1fr); gap: 2.5rem; }
  .chapters { position: sticky; inset-block-start: 1.5rem; align-self: start; max-block-size: calc(100vh - 3rem);
    overflow-y: auto; padding-inline: .7rem .5rem; scrollbar-width: thin; }
  article { padding: 2rem 2.5rem; }
}
@media print { .top, .chapters, .neighbours, .anchor { display: none; } }
`;
