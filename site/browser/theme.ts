// Light and dark. The system decides until a person does, here or in the playground.

import { byId } from './elements.js';

const key = 'scoreline.theme';

/** Shows the theme that was chosen before. */
export function showTheme(): void {
  const chosen = read();
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
}

export function makeThemeSwitch(): void {
  const { dataset } = document.documentElement;
  const button = byId('theme');
  const prefersDark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () =>
    dataset.theme === undefined ? prefersDark.matches : dataset.theme === 'dark';
  const show = () => button.setAttribute('aria-pressed', String(isDark()));
  button.addEventListener('click', () => {
    dataset.theme = isDark() ? 'light' : 'dark';
    write(dataset.theme);
    show();
  });
  prefersDark.addEventListener('change', show);
  button.hidden = false;
  show();
}

/** Some browsers refuse to keep anything. */
function read(): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(theme: string): void {
  try {
    localStorage.setItem(key, theme);
  } catch {
    // The next page begins with the theme of the system.
  }
}
