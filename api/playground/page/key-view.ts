// The key that a person shows. It stays in this tab.

import { element, freshId } from './element.js';
import type { Service } from './service.js';

/** Opens the field for the key. `onChange` is told when there is another key. */
export function openKeyDialog(
  service: Service,
  reason: string | undefined,
  onChange: () => void,
): void {
  const id = freshId('key');
  const fault = element('p', { class: 'fault', id: `${id}-fault`, role: 'status' });
  const field = element('input', {
    ...{
      id,
      type: 'password',
      autocomplete: 'off',
      spellcheck: 'false',
      'aria-describedby': fault.id,
    },
  });
  const dialog = element('dialog', {
    'aria-labelledby': `${id}-title`,
    onclose: () => dialog.remove(),
  });
  const use = (key: string | undefined) => {
    try {
      service.setKey(key);
    } catch {
      fault.textContent =
        'Expected an API key or an access token: printable ASCII without blanks. Something else came along.';
      field.setAttribute('aria-invalid', 'true');
      return;
    }
    dialog.close();
    onChange();
  };
  dialog.append(
    element(
      'form',
      {
        class: 'stack',
        onsubmit: (event: Event) => {
          event.preventDefault();
          const key = field.value.trim();
          use(key === '' ? undefined : key);
        },
      },
      element('h2', { id: `${id}-title` }, 'API key'),
      element(
        'p',
        {},
        reason ?? 'This service asks who you are. An operator makes a key with ',
        !reason && element('code', {}, 'npm run keys -- create NAME'),
        !reason && '.',
      ),
      element(
        'div',
        { class: 'cell' },
        element('label', { for: id }, 'Key or access token'),
        field,
        fault,
      ),
      element(
        'p',
        { class: 'small muted' },
        'It is kept in this tab only, until you close it, and is sent to this service only.',
      ),
      element(
        'div',
        { class: 'row' },
        element('button', { class: 'button primary' }, 'Use this key'),
        service.key !== undefined &&
          element(
            'button',
            { type: 'button', class: 'button', onclick: () => use(undefined) },
            'Forget the key',
          ),
        element(
          'button',
          { type: 'button', class: 'button quiet', onclick: () => dialog.close() },
          'Cancel',
        ),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}
