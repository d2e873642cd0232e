import { copyFileSync, linkSync, mkdirSync } from 'node:fs';
import path from 'node:path';

/**
 * Links a file to another place, or copies it where that is not possible, so large files share their disk space. The
 * link is no symbolic one: a worker accepts none for external data.
 */
export function linkFile(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
