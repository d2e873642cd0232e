// A file to score.

import { element, freshId } from './element.js';
import type { ModelInfo } from './service.js';
import type { Asking } from './text-form.js';

export function makeFileForm(_model: ModelInfo, { askFor }: Asking): HTMLElement {
  const id = freshId('file');
  const chosen = element('span', { class: 'muted' });
  const chooser = element('input', {
    ...{ type: 'file', id, class: 'only-read' },
    onchange: () => {
      const [file] = chooser.files ?? [];
      if (!file) return;
      chosen.textContent = file.name;
      askFor({ kind: 'file', file, name: file.name }, false);
      // The same file can be chosen again.
      chooser.value = '';
    },
  });
  return element(
    'div',
    { class: 'row' },
    chooser,
    element('label', { for: id, class: 'button primary' }, 'Choose a file'),
    chosen,
  );
}
