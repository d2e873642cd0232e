// The version of what API and worker tell each other, and the name of the queue on which they meet.

import { createHash } from 'node:crypto';

/** The version of this format. Raise it with every change that an older build cannot read. */
export const wireVersion = 2;

/**
 * The versions that this build reads and answers in. A worker serves a queue of each, so that
 * workers may be updated before the API.
 */
export const readableWireVersions: readonly number[] = [wireVersion];

/**
 * The BullMQ queue of a model and version: its name, and a digest of what API and worker must agree
 * on. So a worker never gets items that it would read or label differently. Everything comes from
 * the model's folder, since Kubernetes manifests name the queue too.
 */
export function queueName(
  model: { name: string; version: string; fileSha256: string; labels: string | Uint8Array },
  wire = wireVersion,
): string {
  const { name, version, fileSha256, labels } = model;
  const digest = createHash('sha256')
    .update(`${wire} ${fileSha256} `)
    .update(labels)
    .digest('hex')
    .slice(0, 8);
  return `${name}@${version}~${digest}`;
}
