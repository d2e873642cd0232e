// Looks through the logs of a run: each line is one object, none is an error, and none holds a key.

import { createReadStream } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

const errorLevel = 50;
/** What ioredis says if no answer comes in time, as on a machine with other work. */
const lateRedis = 'Command timed out';
const faultsMax = 8;

export async function findLogFaults(
  files: readonly string[],
  apiKeys: readonly string[],
): Promise<string[]> {
  const faults: string[] = [];
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      const fault = findLineFault(line, apiKeys);
      if (fault) faults.push(`${path.basename(file)}: ${fault}: ${line.slice(0, 1000)}`);
      if (faults.length === faultsMax) return faults;
    }
  }
  return faults;
}

function findLineFault(line: string, apiKeys: readonly string[]): string | undefined {
  if (apiKeys.some((key) => line.includes(key))) return 'a key in the log';
  try {
    const { level, reason } = JSON.parse(line);
    if (reason === lateRedis || (typeof level === 'number' && level < errorLevel)) return undefined;
    return 'an error in the log';
  } catch {
    return 'a line that is no JSON';
  }
}
