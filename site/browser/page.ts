// The script of each page: the theme before anything is shown, then the search and the menu of phones.

import { makeMenu } from './menu.js';
import { makeSearch } from './search.js';
import { makeThemeSwitch, showTheme } from './theme.js';

document.documentElement.classList.add('scripted');
showTheme();
document.addEventListener('DOMContentLoaded', () => {
  makeThemeSwitch();
  makeMenu();
  makeSearch();
});
