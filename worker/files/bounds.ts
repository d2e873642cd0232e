// The bounds of a model: its folder, or its place in the cache of downloads. The manifest names no file
// outside of it (shared/manifest/manifest.ts), but a link may still lead outside. The worker would then read a file
// that is none of the model's, or write one.

import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../../shared/errors.js';
import { filesOf } from '../../shared/registry/files.js';
import type { Model } from '../../shared/registry/models.js';

/**
 * Checks that external data, and everything that will be downloaded, lies inside the folder. An ONNX file that
 * is there may be a link: large files often are, and its checksum counts.
 * @throws ScorelineError `model_file_wrong`
 */
export function checkBounds(model: Model): void {
  const root = rootOf(model);
  const realRoot = realPathOf(root);
  for (const { path: file } of filesOf(model)) {
    if (file === model.file && existsSync(file)) continue;
    const real = realPathOf(file);
    if (real === realRoot || real.startsWith(realRoot + path.sep)) continue;
    throw new ScorelineError(
      'model_file_wrong',
      `${model.name}: ${file}: expected a file inside ${root}; a link leads to ${real}. Put the file itself there.`,
    );
  }
}

function rootOf({ file, manifest }: Model): string {
  const source = path.normalize(manifest.source.file);
  const isNamedSo = file.endsWith(path.sep + source);
  return isNamedSo ? file.slice(0, -source.length - 1) : path.dirname(file);
}

/** Returns the path without links; of what does not exist, that of the folder in which it would be made. */
function realPathOf(name: string): string {
  try {
    return realpathSync(name);
  } catch (error) {
    const parent = path.dirname(name);
    if (parent === name) throw error;
    return realPathOf(parent);
  }
}
