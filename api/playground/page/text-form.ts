// A text to score. It is asked as one types, and with the button.

import { countCharacters } from '../../../shared/characters.js';
import type { Asked } from './asking.js';
import { makeButton, makeForm } from './controls.js';
import { element, freshId } from './element.js';
import type { ModelInfo } from './service.js';

/** How a form asks. */
export interface Asking {
  /** `isTyped` is set while the person still types. */
  askFor(asked: Asked, isTyped: boolean): void;
  /** Tells that the form has something else now, which it does not ask. */
  changed(): void;
}

/** How long a pause in typing is. */
const pauseMs = 250;
const shownExampleMax = 70;

export function makeTextForm(model: ModelInfo, { askFor, changed }: Asking): HTMLElement {
  const isQuestion = model.output.kind === 'ranking';
  const { field, counter, check } = makeField(model, isQuestion);
  let pause: ReturnType<typeof setTimeout> | undefined;
  const askNow = (isTyped: boolean) => {
    clearTimeout(pause);
    if (check(!isTyped)) askFor({ kind: 'value', input: field.value }, isTyped);
    else {
      changed();
      if (!isTyped) field.focus();
    }
  };
  field.addEventListener('input', () => {
    clearTimeout(pause);
    check();
    pause = setTimeout(() => askNow(true), pauseMs);
  });
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    askNow(false);
  });
  const examples = model.examples.filter((example) => typeof example === 'string');
  const pick = (example: string) => {
    field.value = example;
    askNow(false);
  };
  const button = makeButton(isQuestion ? 'Ask' : 'Score', 'primary');
  return makeForm(
    { class: 'stack' },
    () => askNow(false),
    element('label', { for: field.id, class: 'label' }, isQuestion ? 'Your question' : 'Text'),
    element('div', { class: 'ask' }, field, button),
    counter,
    examples.length > 0 && makeChips(examples, pick),
  );
}

/** Makes the field, and the line that says when the text is nearly too long, or cannot be sent. */
function makeField({ input }: ModelInfo, isQuestion: boolean) {
  const charactersMax =
    (input.kind === 'text' ? input.charactersMax : undefined) ?? Number.POSITIVE_INFINITY;
  const id = freshId('text');
  const counter = element('p', { class: 'small muted counter', id: `${id}-count` });
  const field = element('textarea', {
    ...{ id, rows: 2, autocomplete: 'off', spellcheck: 'true' },
    placeholder: isQuestion ? 'How do I …?' : '',
    'aria-describedby': counter.id,
  });
  /** Whether the text can be sent. A blank one is a fault only when it should be. */
  const check = (isSent = false) => {
    const length = countCharacters(field.value);
    const isBlank = field.value.trim() === '';
    const isLong = length > charactersMax;
    const isFaulty = isLong || (isBlank && isSent);
    counter.textContent = isBlank && isSent ? 'Expected a text' : sayLength(length, charactersMax);
    counter.className = isFaulty ? 'fault counter' : 'small muted counter';
    field.setAttribute('aria-invalid', String(isFaulty));
    return !isLong && !isBlank;
  };
  return { field, counter, check };
}

function sayLength(length: number, max: number): string {
  if (length <= max * 0.8) return '';
  const [has, takes] = [length.toLocaleString('en'), max.toLocaleString('en')];
  return length > max
    ? `${has} characters, of which the model takes ${takes}. Shorten the text.`
    : `${has} of ${takes} characters`;
}

export function makeChips(
  examples: readonly string[],
  pick: (example: string) => void,
): HTMLElement {
  return element(
    'div',
    { class: 'chips', role: 'group', 'aria-label': 'Examples' },
    examples.map((example) =>
      element(
        'button',
        { type: 'button', class: 'chip', onclick: () => pick(example) },
        shorten(example),
      ),
    ),
  );
}

function shorten(text: string): string {
  return text.length <= shownExampleMax ? text : `${text.slice(0, shownExampleMax).trimEnd()} …`;
}
