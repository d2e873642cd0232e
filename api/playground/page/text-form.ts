// A text to score. It is asked as one types, and with the button.

import type { Asked } from './asking.js';
import { element, freshId } from './element.js';
import type { ModelInfo } from './service.js';

/** How a form asks. `isTyped` is set while the person still types. */
export type AskFor = (asked: Asked, isTyped: boolean) => void;

/** How long a pause in typing is. */
const pauseMs = 250;
const shownExampleMax = 70;

export function makeTextForm(model: ModelInfo, askFor: AskFor): HTMLElement {
  const isQuestion = model.output.kind === 'ranking';
  const { field, counter, count } = makeField(model, isQuestion);
  let pause: ReturnType<typeof setTimeout> | undefined;
  const askNow = (isTyped: boolean) => {
    clearTimeout(pause);
    if (field.value.trim() !== '') askFor({ kind: 'value', input: field.value }, isTyped);
  };
  field.addEventListener('input', () => {
    clearTimeout(pause);
    count();
    pause = setTimeout(() => askNow(true), pauseMs);
  });
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    askNow(false);
  });
  const submit = (event: Event) => {
    event.preventDefault();
    askNow(false);
  };
  const examples = model.examples.filter((example) => typeof example === 'string');
  const pick = (example: string) => {
    field.value = example;
    count();
    askNow(false);
  };
  const button = element('button', { class: 'button primary' }, isQuestion ? 'Ask' : 'Score');
  return element(
    'form',
    { class: 'stack', onsubmit: submit },
    element('label', { for: field.id, class: 'label' }, isQuestion ? 'Your question' : 'Text'),
    element('div', { class: 'ask' }, field, button),
    counter,
    examples.length > 0 && makeChips(examples, pick),
  );
}

/** Makes the field, and the line that counts when the text is nearly too long. */
function makeField({ input }: ModelInfo, isQuestion: boolean) {
  const charactersMax = input.kind === 'text' ? input.charactersMax : undefined;
  const id = freshId('text');
  const counter = element('p', { class: 'small muted counter', id: `${id}-count` });
  const field = element('textarea', {
    ...{ id, rows: 2, autocomplete: 'off', spellcheck: 'true' },
    placeholder: isQuestion ? 'How do I …?' : '',
    'aria-describedby': counter.id,
    maxlength: charactersMax,
  });
  const count = () => {
    const { length } = field.value;
    const isNear = charactersMax !== undefined && length > charactersMax * 0.8;
    counter.textContent = isNear
      ? `${length.toLocaleString('en')} of ${charactersMax.toLocaleString('en')} characters`
      : '';
  };
  return { field, counter, count };
}

function makeChips(examples: readonly string[], pick: (example: string) => void): HTMLElement {
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
