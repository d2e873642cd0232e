// Gets the files of a model that its manifest says where to find, with a progress bar.

import { existsSync } from 'node:fs';
import { Presets, SingleBar } from 'cli-progress';
import { ScorelineError } from '../../shared/errors.js';
import { sha256Of } from '../../shared/files/sha256.js';
import { filesOf, type ModelFile } from '../../shared/registry/files.js';
import type { Model } from '../../shared/registry/models.js';
import { checkBounds } from '../../worker/files/bounds.js';
import { deliver, deliveredBytes } from '../../worker/files/delivery.js';

export interface Voice {
  readonly say: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** @throws ScorelineError `download_failed`, `model_file_wrong` */
export async function pull(model: Model, voice: Voice): Promise<void> {
  checkBounds(model);
  for (const file of filesOf(model)) await pullFile(model, file, voice);
}

async function pullFile(model: Model, source: ModelFile, { say, complain }: Voice): Promise<void> {
  const { path: file } = source;
  if (existsSync(file) && (await sha256Of(file)) === source.sha256) {
    say(`${model.name}: ${file} is already there, and its SHA-256 matches.`);
    return;
  }
  if (source.urls.length === 0) {
    throw new ScorelineError(
      'download_failed',
      `${model.name}: expected addresses in source.urls of its manifest, for ${source.file}; got none. Put the file at ${file}.`,
    );
  }
  const bar = new SingleBar(
    {
      format: `${model.name} {bar} {percentage}% {value}/{total} bytes, {eta} s left`,
      noTTYOutput: true,
      notTTYSchedule: 5000,
    },
    Presets.shades_classic,
  );
  bar.start(deliveredBytes(source), 0);
  try {
    await deliver(source, {
      onProgress: (bytesDone) => bar.update(bytesDone),
      onRetry: (reason) => complain(`\n${reason}`),
    });
  } finally {
    bar.stop();
  }
  say(`${model.name}: ${file} is in place; its size and SHA-256 match.`);
}
