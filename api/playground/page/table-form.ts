// A row of a table: a field for each column, checked while one types.

import { element, freshId } from './element.js';
import type { ModelInfo } from './service.js';
import { type Column, checkCell } from './table-cell.js';
import type { AskFor } from './text-form.js';

type Row = Record<string, string | number | null>;

const pauseMs = 300;

interface Cell {
  readonly node: HTMLElement;
  readonly field: HTMLInputElement | HTMLSelectElement;
  /** Returns the value, or undefined if it is faulty, which the field then says. */
  read(isQuiet?: boolean): string | number | null | undefined;
}

export function makeTableForm(model: ModelInfo, askFor: AskFor): HTMLElement {
  const columns: readonly Column[] = model.input.kind === 'table' ? model.input.columns : [];
  const cells = columns.map(makeCell);
  const askNow = (isTyped: boolean) => {
    const values = cells.map((cell) => cell.read());
    const faulty = values.indexOf(undefined);
    if (faulty < 0) {
      const row = Object.fromEntries(columns.map(({ name }, at) => [name, values[at] ?? null]));
      askFor({ kind: 'value', input: row }, isTyped);
    } else if (!isTyped) cells[faulty]?.field.focus();
  };
  let pause: ReturnType<typeof setTimeout> | undefined;
  const fill = (row: Row) => {
    for (const [at, { name }] of columns.entries()) {
      const field = cells[at]?.field;
      if (field) field.value = String(row[name] ?? '');
    }
  };
  const examples = model.examples.filter(isRow);
  const [first] = examples;
  if (first) fill(first);
  return element(
    'form',
    {
      class: 'stack',
      novalidate: true,
      onsubmit: (event: Event) => {
        event.preventDefault();
        askNow(false);
      },
      oninput: ({ target }: Event) => {
        cells.find(({ field }) => field === target)?.read();
        clearTimeout(pause);
        // A row that is not filled yet has no faults to complain of.
        if (cells.every((cell) => cell.read(true) !== undefined)) {
          pause = setTimeout(() => askNow(true), pauseMs);
        }
      },
    },
    element('h2', { class: 'label' }, `A row of ${columns.length} columns`),
    element(
      'div',
      { class: 'cells' },
      cells.map(({ node }) => node),
    ),
    element(
      'div',
      { class: 'row' },
      element('button', { class: 'button primary' }, 'Score'),
      examples.map((example, at) =>
        element(
          'button',
          {
            type: 'button',
            class: 'button',
            onclick: () => {
              fill(example);
              askNow(false);
            },
          },
          examples.length === 1 ? 'Score the example' : `Example ${at + 1}`,
        ),
      ),
    ),
  );
}

function isRow(example: unknown): example is Row {
  return typeof example === 'object' && example !== null && !Array.isArray(example);
}

function makeCell(column: Column): Cell {
  const id = freshId('cell');
  const fault = element('p', { class: 'fault', id: `${id}-fault` });
  const field = makeField(column, id);
  field.setAttribute('aria-describedby', fault.id);
  return {
    field,
    node: element(
      'div',
      { class: 'cell' },
      element('label', { for: id }, column.name),
      field,
      fault,
    ),
    read: (isQuiet = false) => {
      const checked = checkCell(column, field.value);
      const isFaulty = 'fault' in checked;
      if (!isQuiet) {
        fault.textContent = isFaulty ? checked.fault : '';
        field.setAttribute('aria-invalid', String(isFaulty));
      }
      return isFaulty ? undefined : checked.value;
    },
  };
}

function makeField(column: Column, id: string): HTMLInputElement | HTMLSelectElement {
  const { categories, datatype, missing } = column;
  if (!categories || categories.length > 200) {
    const inputmode = datatype === 'number' ? 'decimal' : 'text';
    return element('input', { id, type: 'text', inputmode, autocomplete: 'off' });
  }
  return element(
    'select',
    { id },
    element('option', { value: '' }, missing === undefined ? 'choose …' : 'missing'),
    categories.map((category) => element('option', { value: category }, String(category))),
  );
}
