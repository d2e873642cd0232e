// Reads a YAML file that a person wrote, and says what is wrong with it: the file, the line, the key, what was
// expected and what was given, for all faults together.

import { statSync } from 'node:fs';
import { YAMLException } from 'js-yaml';
import type { z } from 'zod';
import { type ErrorCode, ScorelineError } from '../errors.js';
import { messageOf } from '../zod-issue.js';
import { parseYaml } from './parse-yaml.js';
import { NotUtf8, readUtf8File } from './text-file.js';
import { describeUnreadable } from './unreadable.js';
import {
  findChangedKeys,
  findChangedValue,
  findLine,
  findPlaces,
  type Keys,
  type Places,
} from './yaml-lines.js';

/** The most faults that are named together. A list of thousands would help nobody. */
const faultsMax = 100;
/** Nobody writes as much by hand, and to read it would stop the process for seconds. */
const bytesMaxDefault = 1024 * 1024;

/** A text that has been parsed. */
interface Parsed {
  readonly file: string;
  readonly text: string;
  readonly raw: unknown;
  readonly places: Places;
}

/**
 * Reads and validates a file.
 * @param options.what what the file should be, for the error when it is missing
 * @param options.code the code of the errors
 * @param options.texts the keys whose values are texts, also where YAML reads a number
 * @param options.bytesMax the most bytes of the file; 1 MiB if not given
 * @throws ScorelineError with that code
 */
export function readYamlFile<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  options: { what: string; code: ErrorCode; texts?: readonly Keys[]; bytesMax?: number },
): z.output<Schema> {
  const text = readText(file, options);
  const raw = parse(file, text, options);
  const parsed = { file, text, raw, places: findPlaces(text) };
  const unquoted = describeUnquoted(parsed, options.texts ?? []);
  if (unquoted.length > 0) throw new ScorelineError(options.code, unquoted.join('\n'));
  const result = schema.safeParse(raw, { error: nameKeys });
  if (result.success) return result.data;
  throw new ScorelineError(options.code, describeFaults(parsed, result.error).join('\n'));
}

function readText(
  file: string,
  { what, code, bytesMax = bytesMaxDefault }: { what: string; code: ErrorCode; bytesMax?: number },
): string {
  try {
    const { size } = statSync(file);
    if (size > bytesMax) {
      throw new ScorelineError(
        code,
        `${file}: expected ${what}, of at most ${bytesMax} bytes; got ${size}`,
      );
    }
    return readUtf8File(file);
  } catch (cause) {
    if (cause instanceof ScorelineError) throw cause;
    if (cause instanceof NotUtf8) {
      throw new ScorelineError(code, `${file}: ${cause.message}`, { cause });
    }
    const { code: fault } = cause as NodeJS.ErrnoException;
    const reason = fault === 'ENOENT' ? 'there is no such file' : `it ${describeUnreadable(cause)}`;
    throw new ScorelineError(code, `${file}: expected ${what}; ${reason}`, { cause });
  }
}

function parse(file: string, text: string, { code }: { code: ErrorCode }): unknown {
  try {
    return parseYaml(text);
  } catch (error) {
    const reason = error instanceof YAMLException ? error.reason : 'unreadable';
    const line = error instanceof YAMLException ? (error.mark?.line ?? 0) + 1 : 1;
    throw new ScorelineError(code, `${file}: line ${line}: expected valid YAML; got: ${reason}`, {
      cause: error,
    });
  }
}

/**
 * Without quotes, a key such as 1.10 would name something else, such as 1.1. So would the value of a version: 010 would
 * be 10.
 */
function describeUnquoted({ file, text, places }: Parsed, texts: readonly Keys[]): string[] {
  const describe = (keys: Keys, what: 'key' | 'value', given: string) =>
    `${file}: line ${findLine(text, keys, places)}: ${keys.join('.')}: expected quotes around this ${what}, "${given}"; got ${given}, which YAML reads as ${String(parseYaml(given))}`;
  const changed = findChangedKeys(places).slice(0, faultsMax);
  return [
    ...changed.map((keys) => describe(keys, 'key', String(keys.at(-1)))),
    ...texts.flatMap((keys) => {
      const value = findChangedValue(text, keys, places);
      return value === undefined ? [] : [describe(keys, 'value', value)];
    }),
  ];
}

function describeFaults({ file, text, raw, places }: Parsed, { issues }: z.ZodError): string[] {
  const faults = issues.flatMap(faultsOf);
  const described = faults.slice(0, faultsMax).map(({ keys, message }) => {
    const key = keys.join('.') || '(the whole file)';
    const line = findLine(text, keys, places);
    const place = line === undefined ? file : `${file}: line ${line}`;
    return `${place}: ${key}: ${message}; got ${show(valueAt(raw, keys))}`;
  });
  const more = faults.length - described.length;
  return more === 0 ? described : [...described, `${file}: ${more} more faults like these`];
}

/** Each key that is not recognized is a fault of its own. */
function faultsOf(issue: z.core.$ZodIssue): { keys: PropertyKey[]; message: string }[] {
  const message = messageOf(issue);
  if (issue.code !== 'unrecognized_keys') return [{ keys: issue.path, message }];
  return issue.keys.map((key) => ({ keys: [...issue.path, key], message }));
}

/** Zod names a key that it does not know, and its reader, who sees that one, wants those that there are. */
function nameKeys({ code, inst }: z.core.$ZodRawIssue): string | undefined {
  if (code !== 'unrecognized_keys') return undefined;
  const { shape } = (inst as z.ZodObject).def;
  return `expected one of the keys ${Object.keys(shape).join(', ')}`;
}

function valueAt(value: unknown, keys: PropertyKey[]): unknown {
  let found = value;
  for (const key of keys) {
    // `device: tpu` is short for `device: {type: tpu}`.
    if (typeof found !== 'object' || found === null) return found;
    found = (found as Record<PropertyKey, unknown>)[key];
  }
  return found;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  // JSON would make null of .nan and .inf.
  const text = (typeof value !== 'number' && JSON.stringify(value)) || String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
