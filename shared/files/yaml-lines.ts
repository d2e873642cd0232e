// Where in a YAML file a key stands. A parsed value no longer knows.

import {
  EVENT_ID,
  type Event,
  getScalarValue,
  load,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
} from 'js-yaml';

/** The way to a value: the keys of mappings and the positions in lists, from the outside in. */
export type Keys = readonly PropertyKey[];

/** Where the keys of a text stand, and the values in its lists. */
export type Places = ReadonlyMap<string, Found>;

interface Found {
  readonly way: Keys;
  readonly offset: number;
  /** Whether it is a key that YAML reads as something else than its text, such as 1.10 as 1.1. */
  readonly isChanged: boolean;
  /** What stands there, unless it is a mapping or a list. */
  value?: ScalarEvent;
}

/** A mapping or list that is not closed yet. */
interface Open {
  readonly way: Keys;
  readonly isMapping: boolean;
  /** The key whose value comes next in a mapping; undefined if a key comes next. */
  key: string | undefined;
  /** How many values of a list have come. */
  count: number;
}

/**
 * Returns the line of a key or of a value in a list, counted from 1. If the file does not have it, returns the line
 * of what is nearest around it; undefined if that is the whole file.
 * @param text valid YAML, of one document
 * @param places those of the text, if they have been found already
 */
export function findLine(
  text: string,
  keys: Keys,
  places: Places = findPlaces(text),
): number | undefined {
  for (let length = keys.length; length > 0; length--) {
    const offset = places.get(nameOf(keys.slice(0, length)))?.offset;
    if (offset !== undefined) return text.slice(0, offset).split('\n').length;
  }
  return undefined;
}

/**
 * Returns the ways to the keys without quotes that YAML reads as something else than their text: 1.10 becomes 1.1.
 * @param places those of a text
 */
export function findChangedKeys(places: Places): readonly Keys[] {
  return [...places.values()].filter(({ isChanged }) => isChanged).map(({ way }) => way);
}

/**
 * Returns the text of a value without quotes that YAML reads as something else: 010 becomes 10. Undefined if the value
 * is read as it stands there, or is not there.
 * @param places those of the text
 */
export function findChangedValue(text: string, keys: Keys, places: Places): string | undefined {
  const event = places.get(nameOf(keys))?.value;
  const value = event && getScalarValue(text, event);
  return event && isChanged(String(value), event) ? value : undefined;
}

/**
 * Finds each key, and each value in a list. This takes about a second for a megabyte, so find them once.
 * @param text valid YAML, of one document
 */
export function findPlaces(text: string): Places {
  const all = new Map<string, Found>();
  const note = (way: Keys, event: Event, isChanged: boolean) =>
    all.set(nameOf(way), { way, offset: startOf(event), isChanged });
  const open: Open[] = [];
  const wayOf = (event: Event): Keys => {
    const around = open.at(-1);
    if (!around) return [];
    if (around.isMapping) return [...around.way, around.key ?? ''];
    const way = [...around.way, around.count];
    note(way, event, false);
    return way;
  };
  const endValue = () => {
    const around = open.at(-1);
    if (!around) return;
    around.key = undefined;
    around.count++;
  };

  for (const event of parseEvents(text, {})) {
    const around = open.at(-1);
    if (event.type === EVENT_ID.MAPPING || event.type === EVENT_ID.SEQUENCE) {
      const isMapping = event.type === EVENT_ID.MAPPING;
      open.push({ way: wayOf(event), isMapping, key: undefined, count: 0 });
    } else if (event.type === EVENT_ID.POP) {
      open.pop();
      endValue();
    } else if (event.type === EVENT_ID.SCALAR && around?.isMapping && around.key === undefined) {
      around.key = getScalarValue(text, event);
      note([...around.way, around.key], event, isChanged(around.key, event));
    } else if (event.type === EVENT_ID.SCALAR || event.type === EVENT_ID.ALIAS) {
      const found = all.get(nameOf(wayOf(event)));
      if (found && event.type === EVENT_ID.SCALAR) found.value = event;
      endValue();
    }
  }
  return all;
}

/** Returns where the first alias of a text begins; undefined if it has none. */
export function findAlias(text: string): number | undefined {
  for (const event of parseEvents(text, {})) {
    if (event.type === EVENT_ID.ALIAS) return event.anchorStart;
  }
  return undefined;
}

function isChanged(text: string, { style, tagStart }: ScalarEvent): boolean {
  if (style !== SCALAR_STYLE.PLAIN || tagStart >= 0 || text === '') return false;
  // Most keys are words, and to parse each would take longer than the whole text.
  if (/^[a-z_]/i.test(text) && !/^(true|false|null)$/i.test(text)) return false;
  const read = load(text);
  return typeof read !== 'string' && String(read) !== text;
}

function startOf(event: Event): number {
  if (event.type === EVENT_ID.SCALAR) return event.valueStart;
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart;
  return 'start' in event ? event.start : 0;
}

function nameOf(keys: Keys): string {
  return JSON.stringify(keys.map(String));
}
