// The photographs that the image benchmarks send, each with the classes that are right answers.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageDirectory } from '../shared/version.js';

export interface Photograph {
  readonly bytes: Buffer;
  /** Lines of models/imagenet-1k.txt, such as `n02127052 lynx, catamount`. */
  readonly classes: readonly string[];
}

export function readPhotographs(): Photograph[] {
  const folder = path.join(packageDirectory(), 'test/photographs');
  const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8'));
  return Object.entries<string[]>(expected).map(([name, classes]) => ({
    bytes: readFileSync(path.join(folder, name)),
    classes,
  }));
}
