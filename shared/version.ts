import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Returns the package's folder. Works from the sources and from the build. */
export function packageDirectory(): string {
  let directory = import.meta.dirname;
  while (!existsSync(path.join(directory, 'package.json'))) directory = path.dirname(directory);
  return directory;
}

export function packageVersion(): string {
  const text = readFileSync(path.join(packageDirectory(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
