// API keys in a file, which somebody else writes: a mounted Secret, or a file under version control.

import { readFileSync, statSync } from 'node:fs';
import { YAMLException } from 'js-yaml';
import { ScorelineError } from '../../shared/errors.js';
import { parseYaml } from '../../shared/files/parse-yaml.js';
import { type ApiKeyRecord, describeFault, parseApiKeyRecord } from './api-key-record.js';

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
  const ids = records.map(({ id }) => id);
  const duplicate = ids.find((id, index) => ids.indexOf(id) !== index);
  if (duplicate !== undefined) throw invalid('one record for each id', `two for ${duplicate}`);
  return records;
}

/** Returns what changes when the file does. A mounted Secret changes by a new link to a new file. */
export function readFileVersion(file: string): string | undefined {
  const { ino, size, mtimeMs } = statSync(file, { throwIfNoEntry: false }) ?? {};
  return ino === undefined ? undefined : `${ino} ${size} ${mtimeMs}`;
}

function parse(file: string): unknown {
  try {
    return parseYaml(readFileSync(file, 'utf8'));
  } catch (thrown) {
    // The message of a YAMLException would show the text around the fault.
    const got =
      thrown instanceof YAMLException ? thrown.reason : (thrown as NodeJS.ErrnoException).code;
    throw invalid('a file in YAML that can be read, [] for no keys', String(got));
  }
}

function invalid(expected: string, got: string): ScorelineError {
  return new ScorelineError('configuration_invalid', `KEYS_FILE: expected ${expected}; got ${got}`);
}
