// JSON to score, checked while one types.

import type { Json } from '../../../client/client.js';
import { findRounded } from '../../../shared/exact-json.js';
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
  /** Returns what the field has, and says what is wrong with it. */
  const read = (): { readonly input: Json } | undefined => {
    const found = readJson(field.value);
    fault.textContent = 'fault' in found ? found.fault : '';
    fault.hidden = !('fault' in found);
    field.setAttribute('aria-invalid', String('fault' in found));
    return 'fault' in found ? undefined : found;
  };
  const askNow = () => {
    const found = read();
    if (found) askFor({ kind: 'value', input: found.input }, false);
    else field.focus();
  };
  field.addEventListener('input', () => {
    read();
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

function readJson(text: string): { readonly input: Json } | { readonly fault: string } {
  try {
    const input = JSON.parse(text) as Json;
    const rounded = findRounded(text);
    if (rounded === undefined) return { input };
    return {
      fault: `Expected numbers that a browser can hold; got ${rounded}. Send it with another client.`,
    };
  } catch (thrown) {
    return { fault: `Expected JSON; ${(thrown as Error).message}.` };
  }
}
