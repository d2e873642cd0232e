// What the main thread and the engine thread tell each other. Tensors travel without being copied.

import type { Device } from '../../shared/manifest.js';
import type { Tensor } from '../../shared/tensors.js';
import type { RunResult, TensorValue } from './engine.js';

export interface ThreadOptions {
  /** The ONNX file. */
  readonly file: string;
  readonly device: Device;
}

export interface ToThread {
  readonly id: number;
  readonly inputs: readonly Tensor[];
  readonly outputNames: readonly string[] | undefined;
}

export type FromThread =
  | { type: 'ready'; inputs: TensorValue[]; outputs: TensorValue[] }
  | { type: 'failed'; reason: string; devices: string[] }
  | ({ type: 'done'; id: number } & RunResult)
  | { type: 'error'; id: number; reason: string };

/** The tensors in memory of their own, which can be given away, and that memory. */
export function packUp(tensors: readonly Tensor[]): { tensors: Tensor[]; transfer: ArrayBuffer[] } {
  const transfer: ArrayBuffer[] = [];
  const packed = tensors.map((tensor) => {
    const data = ownMemory(tensor.data);
    transfer.push(data.buffer);
    return data === tensor.data ? tensor : { ...tensor, data };
  });
  return { tensors: packed, transfer };
}

/** Memory that is shared, like that of a small Buffer, would be lost to the others who use it. */
function ownMemory(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const isOwn = data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength;
  return isOwn ? (data as Uint8Array<ArrayBuffer>) : new Uint8Array(data);
}
