// API keys in a file, which somebody else writes: a mounted Secret, or a file under version control.

import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { YAMLException } from 'js-yaml';
import { ScorelineError } from '../../shared/errors.js';
import { parseYaml } from '../../shared/files/parse-yaml.js';
import { NotUtf8, readUtf8File } from '../../shared/files/text-file.js';
import { describeUnreadable } from '../../shared/files/unreadable.js';
import { type ApiKeyRecord, describeFault, parseApiKeyRecord } from './api-key-record.js';

/** How long a file that is being written may pause. */
const settleMs = 200;
const looksMax = 10;

/**
 * Reads the records of a file: a list in YAML or JSON.
 * @throws ScorelineError `configuration_invalid`
 */
export function readApiKeyFile(file: string): ApiKeyRecord[] {
  const list = parse(file);
  if (!Array.isArray(list)) throw invalid('a list of records', 'something else');
  const records = list.map((value, index) => {
    try {
      return parseApiKeyRecord(value);
    } catch (thrown) {
      throw invalid(
        'records as "npm run keys -- create" prints them',
        `a fault in record ${index + 1}: ${describeFault(thrown)}`,
      );
    }
  });
  const id = findTwice(records.map((record) => record.id));
  if (id !== undefined) throw invalid('one record for each id', `two for ${id}`);
  const hash = findTwice(records.flatMap(hashesOf));
  if (hash !== undefined) {
    const ids = records.filter((record) => hashesOf(record).includes(hash)).map(({ id }) => id);
    throw invalid('a key of its own for each record', `one for ${ids.join(' and ')}`);
  }
  return records;
}

/**
 * Reads the records of a file that may be written at this moment: once it has stayed as it is for a while. What is
 * there of a file that is half written may be a whole list, of fewer records, or of one without its models or its end.
 * @throws ScorelineError `configuration_invalid`
 */
export async function readSettledApiKeyFile(file: string) {
  for (let look = 0; look < looksMax; look++) {
    const version = readFileVersion(file);
    await delay(settleMs);
    if (readFileVersion(file) !== version) continue;
    const records = readApiKeyFile(file);
    if (readFileVersion(file) === version) return { version, records };
  }
  throw invalid(`a file that stays as it is for ${settleMs} ms`, 'one that changes all the time');
}

/**
 * Returns what changes when the file does; undefined if it cannot be looked at. A mounted Secret changes by a new link
 * to a new file.
 */
export function readFileVersion(file: string): string | undefined {
  try {
    const { ino, size, ctimeMs } = statSync(file);
    return `${ino} ${size} ${ctimeMs}`;
  } catch {
    return undefined;
  }
}

/** Returns the hashes of the keys that a record stands for. */
function hashesOf({ sha256, previous = [] }: ApiKeyRecord): string[] {
  return [...new Set([sha256, ...previous.map((key) => key.sha256)])];
}

function findTwice(names: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return names.find((name) => seen.size === seen.add(name).size);
}

function parse(file: string): unknown {
  try {
    return parseYaml(readUtf8File(file));
  } catch (thrown) {
    if (thrown instanceof NotUtf8) {
      throw new ScorelineError('configuration_invalid', `KEYS_FILE: ${thrown.message}`);
    }
    // The message of a YAMLException would show the text around the fault.
    const got =
      thrown instanceof YAMLException
        ? `one with a fault: ${thrown.reason}`
        : `one that ${describeUnreadable(thrown)}`;
    throw invalid('a file in YAML that can be read, [] for no keys', got);
  }
}

function invalid(expected: string, got: string): ScorelineError {
  return new ScorelineError('configuration_invalid', `KEYS_FILE: expected ${expected}; got ${got}`);
}
