// The list of chapters on a phone, which is closed until somebody opens it.

import { byId } from './elements.js';

export function makeMenu(): void {
  const button = byId('menu');
  const chapters = byId('chapters');
  button.hidden = false;
  button.addEventListener('click', () => {
    const isOpen = chapters.classList.toggle('open');
    button.setAttribute('aria-expanded', String(isOpen));
  });
  // On a wide screen the list may be longer than the screen.
  chapters.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
}
