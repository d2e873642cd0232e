// Edits a YAML text that a person wrote. Only the characters of the edited keys change, so comments, order and
// form stay. A text that cannot be edited in this way, such as one with an alias, is refused.

import { isDeepStrictEqual } from 'node:util';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { ScorelineError } from '../../shared/errors.js';

/** The way to a key, from the outside in, and its new value; undefined removes the key. */
export type Edit = readonly [keys: readonly string[], value: string | number | undefined];

/** The key that the scalar of a section stands for, such as `device: cpu` for `device: { type: cpu }`. */
export type ShortForms = Readonly<Record<string, string>>;

/**
 * Changes keys of a mapping.
 * @param file the name of the file, for errors
 * @throws ScorelineError `manifest_invalid` if the text cannot be edited, with what to write by hand
 */
export function editYaml(
  text: string,
  edits: readonly Edit[],
  { file, shortForms = {} }: { file: string; shortForms?: ShortForms },
): string {
  let edited = text;
  for (const edit of edits) {
    const next = applyEdit(edited, edit, shortForms);
    if (next === undefined || !isApplied(edited, next, { edit, shortForms })) {
      const [keys, value] = edit;
      throw new ScorelineError(
        'manifest_invalid',
        `${file}: expected a form that can be edited at ${keys.join('.')}. Write it by hand: ${keys.join('.')}: ${value ?? 'nothing'}`,
      );
    }
    edited = next;
  }
  return edited;
}

type Place = Pair<{ range: [number, number, number] }, { range: [number, number, number] }>;

function applyEdit(text: string, [keys, value]: Edit, shortForms: ShortForms): string | undefined {
  const { contents } = parseDocument(text);
  let around: unknown = contents;
  for (const [depth, key] of keys.entries()) {
    if (!isMap(around)) return undefined;
    const pair = find(around, key);
    const rest = keys.slice(depth + 1);
    if (!pair) return value === undefined ? text : insert(text, around, { key, rest, value });
    if (rest.length === 0)
      return value === undefined ? cut(text, around, pair) : put(text, pair, show(value));
    const name = shortForms[key];
    if (isScalar(pair.value) && name !== undefined && value !== undefined) {
      const [start, end] = pair.value.range as [number, number, number];
      return put(text, pair, `{ ${name}: ${text.slice(start, end)}, ${nest(rest, value)} }`);
    }
    around = pair.value;
  }
  return undefined;
}

function find(map: YAMLMap, key: string): Place | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === key) as
    | Place
    | undefined;
}

function put(text: string, { value }: Place, shown: string): string | undefined {
  if (!isScalar(value) || value.range === undefined || value.range === null) return undefined;
  const [start, end] = value.range;
  return `${text.slice(0, start)}${shown}${text.slice(end)}`;
}

function insert(
  text: string,
  map: YAMLMap,
  { key, rest, value }: { key: string; rest: readonly string[]; value: string | number },
): string | undefined {
  const shown = `${key}: ${rest.length > 0 ? `{ ${nest(rest, value)} }` : show(value)}`;
  const [first] = map.items as Place[];
  if (!first) {
    const [start, end] = map.range as [number, number, number];
    return `${text.slice(0, start)}{ ${shown} }${text.slice(end)}`;
  }
  const at = first.key.range[0];
  if (map.flow) return `${text.slice(0, at)}${shown}, ${text.slice(at)}`;
  const line = text.lastIndexOf('\n', at - 1) + 1;
  const indent = text.slice(line, at);
  if (indent !== '') return `${text.slice(0, at)}${shown}\n${indent}${text.slice(at)}`;
  return `${text}${text.endsWith('\n') ? '' : '\n'}${shown}\n`;
}

function cut(text: string, map: YAMLMap, pair: Place): string {
  const items = map.items as Place[];
  const index = items.indexOf(pair);
  const next = items[index + 1];
  const start = pair.key.range[0];
  if (next) return text.slice(0, start) + text.slice(next.key.range[0]);
  const end = endOf(pair);
  const before = items[index - 1];
  if (map.flow && before) return text.slice(0, endOf(before)) + text.slice(end);
  const line = text.lastIndexOf('\n', start) + 1;
  // A mapping or list ends behind its last line. What follows a scalar on its line goes with it.
  const isAtLine = text[end - 1] === '\n';
  return text.slice(0, line) + text.slice(end).replace(isAtLine ? '' : /^[^\n]*\n?/, '');
}

function endOf({ key, value }: Place): number {
  return (value ?? key).range[1];
}

/** `b: { c: 1 }` for the keys b and c. */
function nest([key, ...rest]: readonly string[], value: string | number): string {
  return `${key}: ${rest.length > 0 ? `{ ${nest(rest, value)} }` : show(value)}`;
}

/** A plain scalar where that is a text, and JSON elsewhere, which is YAML. */
function show(value: string | number): string {
  const isPlain = typeof value === 'number' || /^[a-zA-Z][\w./-]*$/.test(value);
  return isPlain && !/^(true|false|null|yes|no|on|off)$/i.test(String(value))
    ? String(value)
    : JSON.stringify(value);
}

/** Whether the text says what it should, and nothing else has changed. */
function isApplied(
  before: string,
  after: string,
  { edit: [keys, value], shortForms }: { edit: Edit; shortForms: ShortForms },
): boolean {
  const document = parseDocument(after);
  if (document.errors.length > 0) return false;
  // Without the identity of aliases, since a change of one place must not change another.
  const expected = JSON.parse(JSON.stringify(parseDocument(before).toJS()));
  let around = expected;
  for (const key of keys.slice(0, -1)) {
    const inner = around[key];
    const name = shortForms[key];
    if (typeof inner !== 'object' && name !== undefined && inner !== undefined)
      around[key] = { [name]: inner };
    else if (inner === undefined && value !== undefined) around[key] = {};
    around = around[key] ?? {};
  }
  const last = keys.at(-1) as string;
  if (value === undefined) delete around[last];
  else around[last] = value;
  return isDeepStrictEqual(document.toJS(), expected);
}
