// Paths that stay inside their folder.

import path from 'node:path';

/** Whether a path is relative and has no `..`. A link on the way may still lead outside. */
export function isInnerPath(text: string): boolean {
  const parts = text.split(/[/\\]/);
  return text !== '' && !path.isAbsolute(text) && !text.includes('\0') && !parts.includes('..');
}
