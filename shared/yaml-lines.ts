// Where in a YAML file a key stands. A parsed value no longer knows.

import { EVENT_ID, type Event, getScalarValue, parseEvents } from 'js-yaml';

/** The way to a value: the keys of mappings and the positions in lists, from the outside in. */
export type Keys = readonly PropertyKey[];

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
 */
export function findLine(text: string, keys: Keys): number | undefined {
  const offsets = findOffsets(text);
  for (let length = keys.length; length > 0; length--) {
    const offset = offsets.get(nameOf(keys.slice(0, length)));
    if (offset !== undefined) return text.slice(0, offset).split('\n').length;
  }
  return undefined;
}

/** Finds the offset of each key, and of each value in a list. */
function findOffsets(text: string): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  const open: Open[] = [];
  const wayOf = (event: Event): Keys => {
    const around = open.at(-1);
    if (!around) return [];
    if (around.isMapping) return [...around.way, around.key ?? ''];
    const way = [...around.way, around.count];
    offsets.set(nameOf(way), startOf(event));
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
      offsets.set(nameOf([...around.way, around.key]), startOf(event));
    } else if (event.type === EVENT_ID.SCALAR || event.type === EVENT_ID.ALIAS) {
      wayOf(event);
      endValue();
    }
  }
  return offsets;
}

function startOf(event: Event): number {
  if (event.type === EVENT_ID.SCALAR) return event.valueStart;
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart;
  return 'start' in event ? event.start : 0;
}

function nameOf(keys: Keys): string {
  return JSON.stringify(keys.map(String));
}
