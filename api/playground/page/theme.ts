// Light and dark. The system decides until a person does.

import { makeButton } from './controls.js';
import { keep } from './kept.js';

const kept = keep('theme', 'always');

/** Makes the switch, and shows the theme that was chosen before. */
export function makeThemeSwitch(): HTMLElement {
  const root = document.documentElement;
  const chosen = kept.read();
  if (chosen === 'dark' || chosen === 'light') root.dataset.theme = chosen;
  const prefersDark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () =>
    root.dataset.theme === undefined ? prefersDark.matches : root.dataset.theme === 'dark';
  const button = makeButton('Dark', 'quiet', () => {
    const next = isDark() ? 'light' : 'dark';
    root.dataset.theme = next;
    kept.write(next);
    show();
  });
  const show = () => button.setAttribute('aria-pressed', String(isDark()));
  prefersDark.addEventListener('change', show);
  show();
  return button;
}
