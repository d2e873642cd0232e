// Who a person is: a key or a token that is shown, or signing in at the issuer of tokens. It stays in this tab.

import { labelled, makeButton, makeForm } from './controls.js';
import { type Child, element, freshId, note } from './element.js';
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
      element('h2', { id: titleId }, titleOf(service, reason)),
      element('p', {}, reason ?? aboutOf(service)),
      settings.canSignIn && makeSignIn(),
      makeKeyForm({ hasKey: service.key !== undefined, use, close }),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function titleOf({ key }: Service, reason: string | undefined): string {
  if (!settings.canSignIn) return settings.takesKeys ? 'API key' : 'Access token';
  return key === undefined || reason !== undefined ? 'Sign in' : 'You are signed in';
}

function aboutOf({ key }: Service): readonly Child[] {
  if (key !== undefined) return ['This tab shows the service who you are.'];
  const how = [
    ' An operator makes a key with ',
    element('code', {}, 'npm run keys -- create NAME'),
    '.',
  ];
  return ['This service asks who you are.', settings.takesKeys && how];
}

function makeSignIn(): HTMLElement {
  const trouble = element('div', { class: 'trouble' });
  const begin = async () => {
    try {
      const offer = await readSignInOffer(serviceUrl);
      if (!offer)
        throw new Error(`Nobody can sign in here at the moment. Try again, or show ${keyNoun()}.`);
      await beginSignIn(offer);
    } catch (thrown) {
      trouble.replaceChildren(showError(thrown));
    }
  };
  const button = makeButton('Sign in with your account', 'primary', () => void begin());
  return element(
    'div',
    { class: 'stack-small' },
    element('div', {}, button),
    trouble,
    note(`Or show ${keyNoun()}:`),
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
  const submit = () => {
    const key = field.value.trim();
    try {
      use(key === '' ? undefined : key);
    } catch {
      fault.textContent =
        'Expected an API key or an access token: printable ASCII without blanks. Something else came along.';
      field.setAttribute('aria-invalid', 'true');
    }
  };
  return makeForm(
    { class: 'stack' },
    submit,
    labelled(settings.takesKeys ? 'Key or access token' : 'Access token', field, fault),
    note('It is kept in this tab only, until you close it, and is sent to this service only.'),
    element(
      'div',
      { class: 'row' },
      makeButton(
        settings.takesKeys ? 'Use this key' : 'Use this token',
        settings.canSignIn ? '' : 'primary',
      ),
      hasKey &&
        makeButton(settings.canSignIn ? 'Sign out' : 'Forget the key', '', () => use(undefined)),
      makeButton('Cancel', 'quiet', close),
    ),
  );
}

function keyNoun(): string {
  return settings.takesKeys ? 'a key' : 'an access token';
}
