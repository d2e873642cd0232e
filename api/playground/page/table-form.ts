// A row of a table: a field for each column, checked while one types. What is sent is what the fields show: an empty
// field of texts is an empty text, and a mark beside it says that there is none.

import { makeButton, makeForm } from './controls.js';
import { element, freshId } from './element.js';
import type { ModelInfo } from './service.js';
import { type Column, checkCell, showCategory } from './table-cell.js';
import type { Asking } from './text-form.js';

type Value = string | number | null;
type Row = Record<string, Value>;

const pauseMs = 300;

/** A field of a column, with what belongs to it. */
interface Field {
  readonly field: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;
  /** What marks the value as missing, if the field itself cannot. */
  readonly mark?: HTMLElement;
  check(): ReturnType<typeof checkCell>;
  fill(value: Value): void;
}

interface Cell extends Pick<Field, 'field' | 'fill'> {
  readonly node: HTMLElement;
  /** Returns the value, or undefined if it is faulty, which the field then says. */
  read(isQuiet?: boolean): Value | undefined;
}

/** More than so many categories are no list to choose from. */
const choicesMax = 200;

export function makeTableForm(model: ModelInfo, { askFor, changed }: Asking): HTMLElement {
  const columns: readonly Column[] = model.input.kind === 'table' ? model.input.columns : [];
  const cells = columns.map(makeCell);
  let pause: ReturnType<typeof setTimeout> | undefined;
  const askNow = (isTyped: boolean) => {
    clearTimeout(pause);
    const values = cells.map((cell) => cell.read());
    const faulty = values.indexOf(undefined);
    if (faulty < 0) {
      const row = Object.fromEntries(columns.map(({ name }, at) => [name, values[at] ?? null]));
      askFor({ kind: 'value', input: row }, isTyped);
    } else if (!isTyped) cells[faulty]?.field.focus();
  };
  const typed = () => {
    clearTimeout(pause);
    // A row that is not filled yet has no faults to complain of.
    const isRight = cells.every((cell) => cell.read(true) !== undefined);
    if (isRight) pause = setTimeout(() => askNow(true), pauseMs);
    else changed();
  };
  const fill = (row: Row) => {
    for (const [at, { name }] of columns.entries()) {
      cells[at]?.fill(Object.hasOwn(row, name) ? (row[name] ?? null) : null);
    }
  };
  const examples = model.examples.filter(isRow);
  const [first] = examples;
  if (first) fill(first);
  const check = ({ target }: Event) => {
    cells.find(({ node }) => node.contains(target as Node))?.read();
    typed();
  };
  const askExample = (example: Row) => {
    fill(example);
    askNow(false);
  };
  return makeForm(
    { class: 'stack', novalidate: true, oninput: check },
    () => askNow(false),
    element('h2', { class: 'label' }, `A row of ${columns.length} columns`),
    element(
      'div',
      { class: 'cells' },
      cells.map(({ node }) => node),
    ),
    element(
      'div',
      { class: 'row' },
      makeButton('Score', 'primary'),
      examples.map((example, at) => {
        const text = examples.length === 1 ? 'Score the example' : `Example ${at + 1}`;
        return makeButton(text, '', () => askExample(example));
      }),
    ),
  );
}

function isRow(example: unknown): example is Row {
  return typeof example === 'object' && example !== null && !Array.isArray(example);
}

function makeCell(column: Column): Cell {
  const id = freshId('cell');
  const fault = element('p', { class: 'fault', id: `${id}-fault` });
  const { field, mark, check, fill } = makeField(column, id);
  field.setAttribute('aria-describedby', fault.id);
  return {
    field,
    fill,
    node: element(
      'div',
      { class: 'cell' },
      element('label', { for: id }, column.name),
      element('div', { class: 'stack-small' }, field, mark),
      fault,
    ),
    read: (isQuiet = false) => {
      const checked = check();
      const isFaulty = 'fault' in checked;
      if (!isQuiet) {
        fault.textContent = isFaulty ? checked.fault : '';
        field.setAttribute('aria-invalid', String(isFaulty));
      }
      return isFaulty ? undefined : checked.value;
    },
  };
}

function makeField(column: Column, id: string): Field {
  const { categories, datatype } = column;
  if (categories && categories.length <= choicesMax) return makeChoice(column, id);
  return datatype === 'number' ? makeNumber(column, id) : makeText(column, id);
}

/** The options have numbers, since no text is left over that means that nothing is chosen. */
function makeChoice(column: Column, id: string): Field {
  const { missing } = column;
  const categories: readonly (string | number)[] = column.categories ?? [];
  const field = element(
    'select',
    { id },
    element('option', { value: '' }, missing === undefined ? 'choose …' : 'missing'),
    categories.map((category, at) => element('option', { value: at }, showCategory(category))),
  );
  return {
    field,
    check: () => {
      const value = field.value === '' ? null : (categories[Number(field.value)] ?? null);
      if (value !== null || missing !== undefined) return { value };
      return { fault: 'Expected a value' };
    },
    fill: (value) => {
      const at = value === null ? -1 : categories.indexOf(value);
      field.value = at < 0 ? '' : String(at);
    },
  };
}

function makeNumber(column: Column, id: string): Field {
  const field = element('input', {
    ...{ id, type: 'text', inputmode: 'decimal', autocomplete: 'off' },
    placeholder: column.missing === undefined ? '' : 'missing',
  });
  return {
    field,
    check: () => checkCell(column, field.value),
    fill: (value) => {
      field.value = String(value ?? '');
    },
  };
}

/** A text may have several lines, which the field of one line would join. */
function makeText(column: Column, id: string): Field {
  const { name, missing } = column;
  const field = element('textarea', {
    ...{ id, rows: 1, autocomplete: 'off', spellcheck: 'false', class: 'one-line' },
  });
  const box = element('input', { type: 'checkbox', 'aria-label': `${name} is missing` });
  const canMiss = missing !== undefined;
  const show = () => {
    field.placeholder = box.checked ? 'missing' : 'an empty text';
  };
  const fill = (value: Value) => {
    field.value = String(value ?? '');
    box.checked = canMiss && value === null;
    show();
  };
  field.addEventListener('input', () => {
    box.checked = false;
    show();
  });
  box.addEventListener('input', () => {
    if (box.checked) field.value = '';
    show();
  });
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    field.form?.requestSubmit();
  });
  fill(null);
  return {
    field,
    fill,
    ...(canMiss && { mark: element('label', { class: 'small' }, box, ' missing') }),
    check: () => (box.checked ? { value: null } : checkCell(column, field.value)),
  };
}
