// The engine: one ONNX Runtime session in a thread of its own, seen from the main thread.

import { Worker } from 'node:worker_threads';
import { ScorelineError } from '../../shared/errors.js';
import type { Device } from '../../shared/manifest.js';

export interface EngineOptions {
  readonly file: string;
  readonly device: Device;
}

export interface Watch {
  /** A run that takes longer is reported, once; it cannot be ended without its process. */
  readonly runMsMax: number;
  readonly onHung: () => void;
}

/** A batch as the model takes it; `dims[0]` is the batch size. */
export type InputTensor =
  | { readonly type: 'string'; readonly dims: readonly number[]; readonly data: string[] }
  | {
      readonly type: 'uint8';
      readonly dims: readonly number[];
      readonly data: Uint8Array<ArrayBuffer>;
    }
  | {
      readonly type: 'float32';
      readonly dims: readonly number[];
      readonly data: Float32Array<ArrayBuffer>;
    };

export interface OutputTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** A model's input or output; a dimension that varies is a name or -1. */
export interface TensorValue {
  readonly name: string;
  readonly type: string;
  readonly shape: ReadonlyArray<number | string>;
}

export interface Engine {
  readonly inputs: readonly TensorValue[];
  readonly outputs: readonly TensorValue[];
  /** Runs one batch. Runs are done in the order of the calls. The input's memory is given away. */
  run(input: InputTensor): Promise<{ output: OutputTensor; computeMs: number }>;
  /** Waits for the runs that were handed over: a thread that is ended inside one aborts the process. */
  close(): Promise<void>;
}

export interface ToThread {
  readonly id: number;
  readonly input: InputTensor;
}

export type FromThread =
  | { type: 'ready'; inputs: TensorValue[]; outputs: TensorValue[] }
  | { type: 'failed'; reason: string; devices: string[] }
  | { type: 'done'; id: number; output: OutputTensor; computeMs: number }
  | { type: 'error'; id: number; reason: string };

const hungGraceMs = 1000;

interface Run {
  resolve(result: { output: OutputTensor; computeMs: number }): void;
  reject(error: Error): void;
}

/**
 * Loads a model.
 * @throws ScorelineError `provider_unavailable` or `model_file_wrong`
 */
export function openEngine(options: EngineOptions, watch: Watch): Promise<Engine> {
  const thread = new Worker(new URL('./engine-thread.js', import.meta.url), {
    workerData: options,
    name: 'engine',
  });
  const runs = new Map<number, Run>();
  const underWay = new Set<Promise<unknown>>();
  let nextId = 0;
  let ended: Error | undefined;
  let watchdog: NodeJS.Timeout | undefined;

  /** Watches the run that is under way: the first of those that were handed over. */
  const watchRun = () => {
    clearTimeout(watchdog);
    if (runs.size === 0) return;
    watchdog = setTimeout(() => {
      // A process that was frozen wakes up to a timer that is due, and to a run that is nearly done.
      watchdog = setTimeout(watch.onHung, hungGraceMs);
    }, watch.runMsMax);
  };

  const run: Engine['run'] = (input) => {
    const result = hand(input);
    underWay.add(result);
    const leave = () => underWay.delete(result);
    result.then(leave, leave);
    return result;
  };

  const hand: Engine['run'] = (input) =>
    new Promise((resolve, reject) => {
      if (ended) return reject(ended);
      const id = nextId++;
      runs.set(id, { resolve, reject });
      if (runs.size === 1) watchRun();
      const transfer = input.type === 'string' ? [] : [input.data.buffer];
      thread.postMessage({ id, input } satisfies ToThread, transfer);
    });

  const close = async () => {
    await Promise.allSettled(underWay);
    clearTimeout(watchdog);
    await thread.terminate();
  };

  return new Promise((resolve, reject) => {
    const end = (error: Error) => {
      ended ??= error;
      for (const waiting of runs.values()) waiting.reject(ended);
      runs.clear();
      watchRun();
      reject(ended);
    };
    thread.on('error', end);
    thread.on('exit', () => end(new Error('The engine thread has ended.')));
    thread.on('message', (message: FromThread) => {
      switch (message.type) {
        case 'ready':
          return resolve({ inputs: message.inputs, outputs: message.outputs, run, close });
        case 'failed':
          return end(loadError(options, message));
        case 'done':
          runs.get(message.id)?.resolve(message);
          break;
        case 'error':
          runs.get(message.id)?.reject(modelFailed(message.reason));
      }
      runs.delete(message.id);
      watchRun();
    });
  });
}

function modelFailed(reason: string): ScorelineError {
  return new ScorelineError('model_failed', 'The model failed on this input.', { cause: reason });
}

function loadError(
  { file, device }: EngineOptions,
  failure: { reason: string; devices: string[] },
): ScorelineError {
  const named = failure.devices.includes(device.type);
  if (
    device.type !== 'cpu' &&
    (!named || /provider|cuda|tensorrt|webgpu|library/i.test(failure.reason))
  ) {
    return new ScorelineError(
      'provider_unavailable',
      `device: expected one that ONNX Runtime can use on this machine; got ${device.type}. Known to this build: ${failure.devices.join(', ')}. Install the driver and the libraries of ${device.type}, or set device: cpu. ONNX Runtime says: ${failure.reason}`,
    );
  }
  return new ScorelineError(
    'model_file_wrong',
    `${file}: expected an ONNX model that ONNX Runtime can load. It says: ${failure.reason}`,
  );
}
