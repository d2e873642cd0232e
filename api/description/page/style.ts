// The style of the page, in light and dark, from phones to wide screens.

import { tokens } from '../../pages/tokens.js';

export const style = `${tokens}
:root { --back: var(--surface); --shade: var(--sunken); --link: var(--accent);
  --get: light-dark(#0b6b3a, #7fdba6); --get-back: light-dark(#e2f5ea, #17362a);
  --post: light-dark(#0b5fcc, #8fbfff); --post-back: light-dark(#e4effd, #1a2f4a);
  --bad: var(--danger); --bad-back: var(--danger-soft); }
html { scroll-padding-top: 1rem; }
main { padding: 1.5rem 1.25rem 6rem; max-width: 56rem; margin: 0 auto; min-width: 0; }
p code, li code, td code, .type { overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; font-weight: 650; margin: .5rem 0 1rem; }
h2 { font-size: 1.3rem; font-weight: 620; margin: 2.75rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; }
.version { color: var(--muted); font-size: 1rem; font-weight: 400; }
.also, .optional, .about, .type { color: var(--muted); font-size: .9rem; }
.optional { font-style: italic; }
nav.contents { display: none; }
.operation { border: 1px solid var(--line); border-radius: .5rem; margin: .6rem 0; background: var(--back); }
.operation > div { padding: .25rem 1rem 1rem; border-top: 1px solid var(--line); scroll-margin-top: 4rem; }
summary { display: flex; flex-wrap: wrap; gap: .25rem .6rem; align-items: baseline; padding: .65rem 1rem;
  cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary:hover, .operation[open] > summary { background: var(--shade); border-radius: .5rem; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.path { font-weight: 600; overflow-wrap: anywhere; }
.summary { color: var(--muted); font-size: .92rem; margin-left: auto; }
.method { font: 600 .72rem/1 ui-monospace, monospace; padding: .32rem .45rem; border-radius: .3rem; min-width: 3rem;
  text-align: center; }
.get, .s2 { color: var(--get); background: var(--get-back); }
.post { color: var(--post); background: var(--post-back); }
.s4, .s5 { color: var(--bad); background: var(--bad-back); }
.fields, .answers { list-style: none; margin: .3rem 0; padding: 0; }
.fields > li { padding: .45rem 0; border-top: 1px solid var(--line); }
.fields > li:first-child { border-top: 0; }
.fields .fields { margin-left: .3rem; padding-left: .9rem; border-left: 2px solid var(--line); }
.name { font-weight: 600; }
.answers > li { display: grid; grid-template-columns: 3rem 1fr; gap: .75rem; padding: .5rem 0;
  border-top: 1px solid var(--line); }
.answers > li > div { min-width: 0; }
.answers p:first-child, .answers ul { margin-top: 0; }
.answers ul:not(.fields) { padding-left: 1rem; margin-bottom: 0; font-size: .92rem; }
.status { font: 600 .8rem/1 ui-monospace, monospace; padding: .35rem 0; border-radius: .3rem; text-align: center;
  align-self: start; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem .9rem;
  overflow-x: auto; margin: .8rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); }
th { border-top: 0; color: var(--muted); font-weight: 500; }
@media (max-width: 40rem) { .summary { margin-left: 0; width: 100%; }
  .operation > div { padding: .25rem .8rem .8rem; } summary { padding: .65rem .8rem; } }
@media (min-width: 72rem) {
  .frame { display: grid; grid-template-columns: 17rem minmax(0, 1fr); max-width: 80.5rem; margin: 0 auto; }
  nav.contents { display: block; position: sticky; top: 0; height: 100vh; overflow-y: auto;
    padding: 1.5rem 1rem 2rem 1.25rem; font-size: .9rem; }
  .contents ul { list-style: none; margin: 0; padding: 0; }
  .contents > ul > li { margin: 0 0 1rem; font-weight: 600; }
  .contents ul ul { font-weight: 400; margin-top: .2rem; }
  .contents a { display: block; padding: .15rem 0; text-decoration: none; color: inherit; overflow-wrap: anywhere; }
  .contents ul ul a { color: var(--muted); }
  .contents a:hover { color: var(--link); }
  main { width: 100%; padding: 1.5rem 2.5rem 6rem; }
}
@media print { .top, .contents { display: none; } }
`;
