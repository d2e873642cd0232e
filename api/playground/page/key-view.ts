// Who a person is: a key or a token that is shown, or signing in at the issuer of tokens. It stays in this tab.

import { element, freshId } from './element.js';
import { showError } from './error-view.js';
import { type Service, serviceUrl } from './service.js';
import { settings } from './settings.js';
import { beginSignIn, readSignInOffer } from './sign-in.js';

/** Opens the dialog. `onChange` is told when there is another key. */
export function openKeyDialog(
  service: Service,
  reason: string | undefined,
  onChange: () => void,
): void {
  const titleId = freshId('title');
  const dialog = element('dialog', {
    'aria-labelledby': titleId,
    onclose: () => dialog.remove(),
  });
  const close = () => dialog.close();
  const use = (key: string | undefined) => {
    service.setKey(key);
    close();
    onChange();
  };
  dialog.append(
    element(
      'div',
      { class: 'stack' },
      element('h2', { id: titleId }, settings.canSignIn ? 'Sign in' : 'API key'),
      showReason(reason),
      settings.canSignIn && makeSignIn(),
      makeKeyForm({ hasKey: service.key !== undefined, use, close }),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function showReason(reason: string | undefined): HTMLElement {
  if (reason !== undefined) return element('p', {}, reason);
  return element(
    'p',
    {},
    'This service asks who you are. An operator makes a key with ',
    element('code', {}, 'npm run keys -- create NAME'),
    '.',
  );
}

function makeSignIn(): HTMLElement {
  const trouble = element('div', { class: 'trouble' });
  const begin = async () => {
    try {
      const offer = await readSignInOffer(serviceUrl);
      if (!offer)
        throw new Error('Nobody can sign in here at the moment. Try again, or use a key.');
      await beginSignIn(offer);
    } catch (thrown) {
      trouble.replaceChildren(showError(thrown));
    }
  };
  const button = { type: 'button', class: 'button primary', onclick: () => void begin() };
  return element(
    'div',
    { class: 'stack-small' },
    element('div', {}, element('button', button, 'Sign in with your account')),
    trouble,
    element('p', { class: 'muted small' }, 'Or show a key:'),
  );
}

function makeKeyForm(options: {
  readonly hasKey: boolean;
  readonly use: (key: string | undefined) => void;
  readonly close: () => void;
}): HTMLElement {
  const { hasKey, use, close } = options;
  const id = freshId('key');
  const fault = element('p', { class: 'fault', id: `${id}-fault`, role: 'status' });
  const field = element('input', {
    ...{ id, type: 'password', autocomplete: 'off', spellcheck: 'false' },
    'aria-describedby': fault.id,
  });
  const submit = (event: Event) => {
    event.preventDefault();
    const key = field.value.trim();
    try {
      use(key === '' ? undefined : key);
    } catch {
      fault.textContent =
        'Expected an API key or an access token: printable ASCII without blanks. Something else came along.';
      field.setAttribute('aria-invalid', 'true');
    }
  };
  const forget = { type: 'button', class: 'button', onclick: () => use(undefined) };
  const cancel = { type: 'button', class: 'button quiet', onclick: close };
  return element(
    'form',
    { class: 'stack', onsubmit: submit },
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
      element(
        'button',
        { class: settings.canSignIn ? 'button' : 'button primary' },
        'Use this key',
      ),
      hasKey && element('button', forget, settings.canSignIn ? 'Sign out' : 'Forget the key'),
      element('button', cancel, 'Cancel'),
    ),
  );
}
