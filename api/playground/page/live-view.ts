import { element } from './element.js';
import type { Context } from './try-view.js';

export function showLive(_: Context): HTMLElement {
  return element('div', {}, element('h1', {}, 'Live'));
}
