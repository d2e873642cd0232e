// Buttons, fields with their labels, and forms.

import { type Attributes, type Child, element } from './element.js';

type Look = 'primary' | 'quiet' | 'small' | 'small quiet' | 'small danger' | 'small copy' | '';

/** Makes a button that does something. Without `onclick`, it submits its form. */
export function makeButton(
  text: Child,
  look: Look,
  onclick?: () => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const type = onclick ? 'button' : 'submit';
  const className = look === '' ? 'button' : `button ${look}`;
  return element('button', { type, class: className, onclick, ...attributes }, text);
}

/** Puts its label before a field, and what belongs to it behind. */
export function labelled(text: string, field: HTMLElement, ...behind: readonly Child[]) {
  const label = element('label', { for: field.id }, text);
  return element('div', { class: 'cell' }, label, field, behind);
}

/** Makes a form that the page submits by itself. */
export function makeForm(
  attributes: Attributes,
  submit: () => void,
  ...children: readonly Child[]
): HTMLFormElement {
  const onsubmit = (event: Event) => {
    event.preventDefault();
    submit();
  };
  return element('form', { ...attributes, onsubmit }, ...children);
}
