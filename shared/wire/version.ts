// The version of the wire format between API and worker, and the name of the queue they share.

import { createHash } from 'node:crypto';

/** The version that this build writes. Raise it with every change that older builds cannot read. */
export const wireVersion = 2;

/**
 * The versions that this build reads and answers in. A worker serves one queue for each, so workers
 * can be updated before the API.
 */
export const readableWireVersions: readonly number[] = [wireVersion];

/**
 * Returns the name of a model's BullMQ queue: model, version, and a digest of everything that API
 * and worker must agree on. So a worker never gets items that it would read, treat or label differently.
 * The digest depends on the model's folder only, because Kubernetes manifests name the queue too.
 * @param model.settings what `agreedSettings` returns
 */
export function queueName(
  model: {
    name: string;
    version: string;
    fileSha256: string;
    settings: string;
    labels: string | Uint8Array;
  },
  wire = wireVersion,
): string {
  const { name, version, fileSha256, settings, labels } = model;
  const digest = createHash('sha256')
    .update(`${wire} ${fileSha256} ${settings.length} ${settings} `)
    .update(labels)
    .digest('hex')
    .slice(0, 8);
  return `${name}@${version}~${digest}`;
}
