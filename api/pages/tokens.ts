// What all pages look like: colours, in light and dark, and the bar at their top.

export const tokens = `
:root { color-scheme: light dark;
  --page: light-dark(#f6f7f5, #101312); --surface: light-dark(#ffffff, #181c1b);
  --sunken: light-dark(#f1f3f0, #131716); --line: light-dark(#dfe3de, #2c3331);
  --edge: light-dark(#868f8a, #6f7a75); --text: light-dark(#171b19, #e8edea);
  --muted: light-dark(#59615c, #9ca7a1); --accent: light-dark(#0f6b5c, #62cdb5);
  --on-accent: light-dark(#ffffff, #05231c); --soft: light-dark(#e2f0ec, #16302a);
  --danger: light-dark(#a8231b, #ff9d94); --danger-soft: light-dark(#fbeceb, #331a18);
  --radius: 10px;
  --mono: ui-monospace, 'SF Mono', SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace;
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif;
  color: var(--text); background: var(--page); -webkit-text-size-adjust: 100%; }
:root[data-theme='light'] { color-scheme: light; }
:root[data-theme='dark'] { color-scheme: dark; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; }
a { color: var(--accent); text-underline-offset: .18em; text-decoration-thickness: 1px; }
code, pre { font-family: var(--mono); font-size: .86em; }
pre code { font-size: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; inset: .5rem auto auto .5rem; z-index: 2; padding: .5rem .9rem;
  background: var(--surface); border-radius: var(--radius); transform: translateY(-200%); }
.skip:focus { transform: none; }
.top { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1.75rem;
  padding: .6rem max(1.25rem, (100vw - 78rem) / 2); background: var(--surface);
  border-block-end: 1px solid var(--line); }
.brand { display: inline-flex; align-items: center; gap: .6rem; font-weight: 680; color: var(--text);
  letter-spacing: -.01em; text-decoration: none; }
.mark { display: grid; gap: 3px; align-content: center; padding: 0 6px; inline-size: 26px; block-size: 26px;
  border-radius: 7px; background: var(--accent); }
.mark span { block-size: 3px; border-radius: 2px; background: var(--on-accent); }
.mark span:nth-child(2) { inline-size: 70%; }
.mark span:nth-child(3) { inline-size: 40%; }
.views { display: flex; gap: .25rem; }
.views a { padding: .35rem .75rem; border-radius: 8px; color: var(--muted); text-decoration: none;
  font-weight: 520; }
.views a:hover { color: var(--text); }
.views a[aria-current] { color: var(--accent); background: var(--soft); }
`;
