// Rows of tables: an object with a value for each column. A row becomes the tensors of the network
// itself, so the worker has nothing to convert.

import { countCharacters, isLonger } from '../../shared/characters.js';
import { ScorelineError } from '../../shared/errors.js';
import { isJsonObject } from '../../shared/json-object.js';
import { listed } from '../../shared/listed.js';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import {
  type Block,
  type Cell,
  type Column,
  describeNumbers,
  encodeBlock,
  holds,
  placeColumns,
  sampleRow,
} from '../../shared/manifest/table.js';
import type { Model } from '../../shared/registry/models.js';
import { shown } from '../../shared/shown.js';
import { showName } from '../../shared/tensors/network.js';
import type { Datatype } from '../../shared/tensors/tensors.js';
import { networkOf } from '../inference/infer-request.js';
import { isKnown, unknownCategory } from './category.js';
import type { InputKind, Row } from './kind.js';
import { rowSchema, textCharactersMax } from './table-form.js';

/** How many columns a message names. */
const namesMax = 10;
/** How many fields besides the columns of its model a row may have until its wrong names are looked for. */
const strangersMax = 1000;

export const table: InputKind = {
  noun: 'a row of a table',
  mediaTypes: 'application/json',
  jsonOpening: null,
  codes: ['text_too_long', 'inputs_refused', 'network_undeclared'],

  fromJson(input, model) {
    if (Array.isArray(input)) throw severalRows(input);
    if (!isJsonObject(input)) {
      throw new ScorelineError(
        'input_invalid',
        `Expected "input" to be an object with a value for each column, as in ${sketchOf(model)}; got ${shown(input)}.`,
      );
    }
    checkCount(Object.keys(input).length, model);
    return [{ name: 'row', value: input as Row }];
  },

  fromBytes() {
    throw new ScorelineError(
      'unsupported_media_type',
      'Expected a row of a table as JSON, as in {"input": {"COLUMN": VALUE, …}}, with the content type application/json; got bytes.',
    );
  },

  prepare({ value }, model) {
    const { columns, blocks } = layoutOf(model);
    const row = value as Row;
    checkNames(row, columns, model);
    return blocks.map((block) =>
      encodeBlock(
        block,
        block.columns.map((column) => readCell(row, column, block.datatype)),
      ),
    );
  },

  describe(model) {
    const columns = columnsOf(model);
    const { manifest } = model;
    const one = rowSchema(columns, manifest.network ? layoutOf(model).blocks : []);
    const example = scoresExampleOf(manifest)?.input ?? sampleRow(columns);
    return { one, several: one, example, mediaTypes: [] };
  },
};

interface TableLayout {
  readonly columns: readonly Column[];
  readonly blocks: readonly Block[];
}
const layouts = new WeakMap<Model, TableLayout>();

function layoutOf(model: Model): TableLayout {
  const known = layouts.get(model);
  if (known) return known;
  const columns = columnsOf(model);
  const layout = { columns, blocks: placeColumns(columns, networkOf(model).inputs) };
  layouts.set(model, layout);
  return layout;
}

function columnsOf({ manifest: { input } }: Model): readonly Column[] {
  if (input.kind !== 'table') throw new Error('Expected a table model for a row. This is a bug.');
  return input.columns;
}

/** Returns the beginning of a request, as in `{"input": {"age": …, "colour": …, …}}`. */
function sketchOf(model: Model): string {
  const names = columnsOf(model).map(({ name }) => `${JSON.stringify(name)}: …`);
  const first = names.length > 2 ? [...names.slice(0, 2), '…'] : names;
  return `{"input": {${first.join(', ')}}}`;
}

/**
 * The fields of a row are sorted, for its fingerprint, before it is prepared. For half a million, that takes seconds.
 * @throws ScorelineError `input_invalid`
 */
function checkCount(fields: number, model: Model): void {
  const { length } = columnsOf(model);
  if (fields <= length + strangersMax) return;
  throw new ScorelineError(
    'input_invalid',
    `Expected only the ${length} columns of ${model.name}, which GET /v1/models lists; got ${fields} fields.`,
  );
}

/** @throws ScorelineError `input_missing`, `input_invalid` */
function checkNames(row: Row, columns: readonly Column[], { name }: Model): void {
  const keys = Object.keys(row);
  if (keys.length === 0) {
    throw new ScorelineError(
      'input_missing',
      `Expected a value for each column of ${name}, which GET /v1/models lists; got an empty object.`,
    );
  }
  let known = 0;
  for (const column of columns) if (Object.hasOwn(row, column.name)) known++;
  const lacking = columns.filter(
    (column) => column.missing === undefined && givenIn(row, column) === undefined,
  );
  if (known < keys.length) {
    const names = new Set(columns.map((column) => column.name));
    const unknown = keys.filter((key) => !names.has(key));
    const others = lacking.length > 0 ? ` No value came for ${listNames(lacking)}.` : '';
    throw new ScorelineError(
      'input_invalid',
      `Expected only columns of ${name}, which GET /v1/models lists; got ${listNames(unknown.map((key) => ({ name: key })))}.${others} Correct the name, or leave the value out.`,
    );
  }
  if (lacking.length === 0) return;
  throw new ScorelineError(
    'input_missing',
    `Expected a value for each column, since ${name} takes no missing values here; got none for ${listNames(lacking)}.`,
  );
}

/** Returns the value of a column; undefined if it is missing. */
function givenIn(row: Row, { name }: Column): unknown {
  return Object.hasOwn(row, name) ? (row[name] ?? undefined) : undefined;
}

/** @throws ScorelineError `input_invalid`, `text_too_long` */
function readCell(row: Row, column: Column, datatype: Datatype): Cell {
  const given = givenIn(row, column);
  const isNumber = column.datatype === 'number';
  // As in NumPy and pandas, with whose Booleans models were trained.
  const value = isNumber && typeof given === 'boolean' ? Number(given) : given;
  if (isNumber) {
    if (value === undefined) return Number(column.missing);
    if (typeof value !== 'number' || !holds(datatype, value)) {
      throw unfit(column, describeNumbers(datatype), value);
    }
    if (!isKnown(column, value)) throw unknownCategory(column, value);
    return value;
  }
  if (value === undefined) return String(column.missing);
  if (typeof value !== 'string') throw unfit(column, 'a text', value);
  // It has no UTF-8, and would be replaced.
  if (!value.isWellFormed()) {
    throw unfit(column, 'a text without half of a pair of surrogates', value);
  }
  // ONNX Runtime ends a string at its first NUL.
  if (value.includes('\0')) throw unfit(column, 'a text without NUL', value);
  if (isLonger(value, textCharactersMax)) {
    throw new ScorelineError(
      'text_too_long',
      `Expected at most ${textCharactersMax} characters in the column ${showName(column.name)}; got ${countCharacters(value)}. Shorten it.`,
    );
  }
  if (!isKnown(column, value)) throw unknownCategory(column, value);
  return value;
}

function unfit(column: Column, expected: string, value: unknown): ScorelineError {
  return new ScorelineError(
    'input_invalid',
    `Expected the column ${showName(column.name)} to be ${expected}; got ${shown(value)}.${remedyFor(column, value)}`,
  );
}

/** What stands for a missing value in files and in other languages. */
const missingWords = /^(nan|na|n\/a|null|none|nil|)$/i;

function remedyFor({ datatype, missing }: Column, value: unknown): string {
  if (datatype === 'category') return typeof value === 'number' ? ' Write it in quotes.' : '';
  if (typeof value !== 'string') return '';
  if (!missingWords.test(value.trim())) {
    return Number.isFinite(Number(value)) ? ' Write it without quotes.' : '';
  }
  return missing === undefined
    ? ' The model takes no missing values in this column.'
    : ' Send null for a missing value.';
}

function severalRows({ length }: readonly unknown[]): ScorelineError {
  return new ScorelineError(
    'too_many_inputs',
    `Expected one row in a request, an object with a value for each column; got a list of ${length}. Send several rows as {"inputs": [{…}, {…}]}.`,
  );
}

function listNames(named: readonly { readonly name: string }[]): string {
  return listed(
    named.map(({ name }) => showName(name)),
    namesMax,
  );
}
