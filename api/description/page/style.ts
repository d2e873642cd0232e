// The style of the page, in light and dark, from phones to wide screens.

export const style = `
:root { color-scheme: light dark; --back: #fff; --text: #1c2024; --soft: #5f6872; --line: #e3e6ea;
  --shade: #f6f7f9; --link: #0b5fcc; --get: #0b6b3a; --get-back: #e2f5ea; --post: #0b5fcc; --post-back: #e4effd;
  --bad: #a4372b; --bad-back: #fcebe8; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e4e7ea; --soft: #9aa4ae; --line: #2c3238;
  --shade: #1c2126; --link: #7db4ff; --get: #7fdba6; --get-back: #17362a; --post: #8fbfff; --post-back: #1a2f4a;
  --bad: #ff9d90; --bad-back: #42211d; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--back); color: var(--text); line-height: 1.55;
  font-family: system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 56rem; margin: 0 auto; padding: 1.5rem 1.25rem 6rem; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875em; }
p code, li code, td code { overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.35rem; margin: 2.75rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; }
.version { color: var(--soft); font-size: 1rem; font-weight: 400; }
.also, .optional, .about, .type { color: var(--soft); font-size: .9rem; }
.optional { font-style: italic; }
nav { display: none; }
.operation { border: 1px solid var(--line); border-radius: .5rem; margin: .6rem 0; background: var(--back); }
.operation > div { padding: .25rem 1rem 1rem; border-top: 1px solid var(--line); scroll-margin-top: 4rem; }
summary { display: flex; flex-wrap: wrap; gap: .25rem .6rem; align-items: baseline; padding: .65rem 1rem;
  cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary:hover, .operation[open] > summary { background: var(--shade); border-radius: .5rem; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.path { font-weight: 600; overflow-wrap: anywhere; }
.summary { color: var(--soft); font-size: .92rem; margin-left: auto; }
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
th { border-top: 0; color: var(--soft); font-weight: 500; }
@media (max-width: 40rem) { .summary { margin-left: 0; width: 100%; }
  .operation > div { padding: .25rem .8rem .8rem; } summary { padding: .65rem .8rem; } }
@media (min-width: 72rem) {
  body { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
  nav { display: block; position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 2rem 1.5rem;
    border-right: 1px solid var(--line); font-size: .9rem; }
  nav ul { list-style: none; margin: 0; padding: 0; }
  nav > ul > li { margin: 0 0 1rem; font-weight: 600; }
  nav ul ul { font-weight: 400; margin-top: .2rem; }
  nav a { display: block; padding: .15rem 0; text-decoration: none; color: inherit; overflow-wrap: anywhere; }
  nav ul ul a { color: var(--soft); }
  nav a:hover { color: var(--link); }
  main { width: 100%; padding: 1.5rem 2.5rem 6rem; }
}
@media print { nav { display: none; } }
`;
