// A valid model for tests to vary, and folders of models for tests that read files.

import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { ScorelineError } from '../../shared/errors.js';
import { agreedSettings } from '../../shared/manifest/agreed-settings.js';
import { describedFiles, manifestSchema, type SourceFile } from '../../shared/manifest/manifest.js';
import type { Model } from '../../shared/registry/models.js';
import { queueName, wireVersion } from '../../shared/wire/version.js';

/** A manifest with only the required keys. JSON is valid YAML, so it can also be written to a file. */
export const sampleManifest = {
  name: 'sample',
  version: 1,
  description: 'A model for tests.',
  source: { file: 'model.onnx', bytes: 4, sha256: 'a'.repeat(64) },
  input: { kind: 'text' },
  output: { kind: 'classification', labels: 'labels.txt' },
  example: { input: 'hello', expected: { label: 'cat' } },
};

export const sampleLabels = 'n01 cat\nn02 dog, hound\nn03 owl\nn04 fox\nn05 hare\n';

/** Makes a model with five labels, and with these keys of its manifest replaced. */
export function makeSampleModel(changes: Record<string, unknown> = {}): Model {
  const written = { ...sampleManifest, ...changes };
  const manifest = manifestSchema.parse(written);
  const { name, version } = manifest;
  const [{ sha256: fileSha256 }] = describedFiles(manifest.source) as [SourceFile];
  const settings = agreedSettings(written);
  const queue = queueName({ name, version, fileSha256, settings, labels: sampleLabels });
  return {
    name,
    version,
    manifest,
    queue,
    queues: [{ wire: wireVersion, name: queue }],
    folder: `/nowhere/${manifest.name}`,
    file: `/nowhere/${manifest.name}/model.onnx`,
    labels: ['cat', 'dog', 'owl', 'fox', 'hare'].map((text, index) => ({ text, id: index })),
    heads: [],
  };
}

/** Returns what a manifest says of a file. */
export const sourceOf = (file: string, content: string | Uint8Array) => ({
  file,
  bytes: Buffer.byteLength(content),
  sha256: createHash('sha256').update(content).digest('hex'),
});

/** Makes a folder with these files (path → content), and removes it when the test ends. */
export function makeFolder(files: Record<string, unknown>): string {
  const folder = writeFolder(files);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Makes a folder with these files, which the caller removes. */
export function writeFolder(files: Record<string, unknown>): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scoreline-unit-'));
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    const isRaw = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(file, isRaw ? content : JSON.stringify(content));
  }
  return folder;
}

/** Resolves to the ScorelineError that a promise rejects with. Fails if there is another reason, or none. */
export async function rejectionOf(promise: Promise<unknown>): Promise<ScorelineError> {
  const thrown = await promise.then(
    () => undefined,
    (reason: unknown) => ({ reason }),
  );
  return errorOf(() => {
    if (thrown) throw thrown.reason;
  });
}

/** Returns the ScorelineError that the action throws. Fails if it throws anything else, or nothing. */
export function errorOf(action: () => unknown): ScorelineError {
  try {
    action();
  } catch (error) {
    if (error instanceof ScorelineError) return error;
    throw error;
  }
  throw new Error('Expected a ScorelineError; nothing was thrown.');
}

/** Acts as a user who may not read everything, as root may. */
export async function asAnotherUser(act: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    await act();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
