// Messages between the main thread and the engine thread. Tensors are transferred, not copied.

import type { Device } from '../../shared/manifest/manifest.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { RunResult, TensorValue } from './engine.js';

export interface SessionOptions {
  /** The path of the ONNX file. */
  readonly file: string;
  /** Whether the file is optimised for this machine already. */
  readonly isOptimized?: boolean;
  readonly device: Device;
}

/** The order of the thread that optimises: the paths of two networks. */
export interface OptimizeOptions {
  readonly from: string;
  readonly to: string;
}

/** Why no session could be opened on a device. */
export interface Refusal {
  readonly device: Device['type'];
  readonly reason: string;
  /** The devices that this build of ONNX Runtime knows. */
  readonly known: readonly string[];
}

/** A session has a number in its thread, and a run one among all runs there. */
export type ToThread =
  | { type: 'open'; session: number; options: SessionOptions }
  | ({ type: 'run'; session: number; id: number } & Batch)
  | { type: 'close'; session: number }
  | { type: 'end' };

export interface Batch {
  readonly inputs: readonly Tensor[];
  readonly outputNames: readonly string[] | undefined;
}

export type FromThread =
  | {
      type: 'ready';
      session: number;
      inputs: TensorValue[];
      outputs: TensorValue[];
      /** Why the session runs on its fallback, if it does. */
      refusal: Refusal | undefined;
    }
  | ({ type: 'failed'; session: number } & Refusal)
  | ({ type: 'done'; id: number } & RunResult)
  | { type: 'error'; id: number; reason: string };

/** Prepares tensors for a transfer, and returns them with the memory to transfer. */
export function packUp(tensors: readonly Tensor[]): { tensors: Tensor[]; transfer: ArrayBuffer[] } {
  const transfer: ArrayBuffer[] = [];
  const packed = tensors.map((tensor) => {
    const data = ownMemory(tensor.data);
    transfer.push(data.buffer);
    return data === tensor.data ? tensor : { ...tensor, data };
  });
  return { tensors: packed, transfer };
}

/**
 * Copies shared memory, such as a small Buffer's, since a transfer would take it from its other
 * users.
 */
function ownMemory(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const isOwn = data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength;
  return isOwn ? (data as Uint8Array<ArrayBuffer>) : new Uint8Array(data);
}
