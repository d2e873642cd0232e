// The code of an error of the service, which leads to its row in the docs.

import { element } from './element.js';

export function showCode(code: string): HTMLElement {
  return element(
    'a',
    { href: `docs/errors#${encodeURIComponent(code)}` },
    element('code', {}, code),
  );
}
