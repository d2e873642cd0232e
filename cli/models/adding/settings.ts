// `--set KEY=VALUE`: keys of the manifest that the user knows better than the guess, such as `output.pooling=cls`.

import { parseYaml } from '../../../shared/files/parse-yaml.js';
import { isJsonObject } from '../../../shared/json-object.js';
import { wrong } from '../../faults.js';

export type Section = Readonly<Record<string, unknown>>;
/** Sections of a manifest, as nested as they are there. */
export type Settings = Readonly<Record<string, unknown>>;

/** Keys that the command works out by itself, or that have a flag. */
const fixedKeys = /^(name|source|network|engine)\b/;

/** @throws ScorelineError `configuration_invalid` */
export function readSettings(texts: readonly string[]): Settings {
  let settings: Settings = {};
  for (const text of texts) {
    const [, key, value] = /^(\w+(?:\.\w+)*)=(.*)$/s.exec(text) ?? [];
    if (key === undefined || value === undefined || fixedKeys.test(key)) {
      throw wrong(
        `--set: expected a key of the manifest and its value, such as input.scale=1 or output.activation=sigmoid; got ${text}`,
      );
    }
    const nested = key
      .split('.')
      .reduceRight<unknown>((inner, name) => ({ [name]: inner }), readValue(key, value));
    settings = join(settings, nested as Settings);
  }
  return settings;
}

function readValue(key: string, text: string): unknown {
  try {
    return parseYaml(text);
  } catch {
    throw wrong(
      `--set: expected a value in YAML for ${key}, or null to remove it; got ${text || 'nothing'}`,
    );
  }
}

/** Returns a section of the settings; an empty one if there is none. */
export function sectionOf(settings: Settings, name: string): Section {
  const section = settings[name];
  return isJsonObject(section) ? section : {};
}

/** Joins settings, of which the later ones prevail. Null stays, since it removes a key of the manifest. */
function join(earlier: Section, later: Section): Section {
  const joined: Record<string, unknown> = keep(earlier, later);
  for (const [key, value] of Object.entries(later)) {
    const before = joined[key];
    joined[key] = isJsonObject(before) && isJsonObject(value) ? join(before, value) : value;
  }
  return joined;
}

/** Lays settings over sections of a manifest. Null removes a key, and what a setting rules out is left out. */
export function merge(base: Section, settings: Section): Section {
  const merged: Record<string, unknown> = keep(base, settings);
  for (const [key, value] of Object.entries(settings)) {
    const before = merged[key];
    if (value === null) delete merged[key];
    else if (isJsonObject(value)) merged[key] = merge(isJsonObject(before) ? before : {}, value);
    else merged[key] = value;
  }
  return merged;
}

/** Returns what the settings do not rule out. */
function keep(base: Section, settings: Section): Record<string, unknown> {
  return Object.fromEntries(Object.entries(base).filter(([key]) => !isRuledOut(key, settings)));
}

/** The keys of a picture's size that go with one value of another key. */
const sizeKeys: Readonly<Record<string, readonly [key: string, value: string]>> = {
  cropFraction: ['resize', 'stretch'],
  shorterSide: ['resize', 'shorter-side'],
  padding: ['resize', 'letterbox'],
  position: ['resize', 'letterbox'],
  antialias: ['interpolation', 'bilinear'],
};

/** Pixels become numbers in one way of two, and a picture gets its size in one of several. */
function isRuledOut(key: string, settings: Section): boolean {
  const [other, value] = sizeKeys[key] ?? [];
  if (other && settings[other] !== undefined && settings[other] !== value) return true;
  const hasOne = (keys: readonly string[]) =>
    keys.some((each) => (settings[each] ?? null) !== null);
  if (key === 'mean' || key === 'std') return hasOne(['scale', 'offset']);
  return (key === 'scale' || key === 'offset') && hasOne(['mean', 'std']);
}

/** Whether settings of the input say which numbers the pixels become. */
export function setsPixels(input: Section): boolean {
  return ['mean', 'std', 'scale', 'offset'].some((key) => (input[key] ?? null) !== null);
}
