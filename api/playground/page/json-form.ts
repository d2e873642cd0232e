// JSON to score, checked while one types.

import { element, freshId } from './element.js';
import type { ModelInfo } from './service.js';
import { type Asking, makeChips } from './text-form.js';

export function makeJsonForm(model: ModelInfo, { askFor, changed }: Asking): HTMLElement {
  const id = freshId('json');
  const fault = element('p', { class: 'fault', id: `${id}-fault`, hidden: true });
  const field = element('textarea', {
    ...{ id, rows: 6, autocomplete: 'off', spellcheck: 'false', class: 'mono' },
    'aria-describedby': fault.id,
  });
  const examples = model.examples.map((example) => JSON.stringify(example, null, 2));
  field.value = examples[0] ?? '{}';
  /** Says what is wrong with what the field has. Returns whether nothing is. */
  const check = (): boolean => {
    const found = findFault(field.value);
    fault.textContent = found ?? '';
    fault.hidden = found === undefined;
    field.setAttribute('aria-invalid', String(found !== undefined));
    return found === undefined;
  };
  const askNow = () => {
    if (check()) askFor({ kind: 'json', text: field.value }, false);
    else field.focus();
  };
  field.addEventListener('input', () => {
    check();
    changed();
  });
  const pick = (example: string) => {
    field.value = example;
    askNow();
  };
  return element(
    'form',
    {
      class: 'stack',
      onsubmit: (event: Event) => {
        event.preventDefault();
        askNow();
      },
    },
    element('label', { for: id, class: 'label' }, 'JSON'),
    field,
    fault,
    element('div', { class: 'row' }, element('button', { class: 'button primary' }, 'Send')),
    examples.length > 1 && makeChips(examples, pick),
  );
}

function findFault(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (thrown) {
    return `Expected JSON; ${(thrown as Error).message}.`;
  }
}
