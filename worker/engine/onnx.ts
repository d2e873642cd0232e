// The engine of ONNX models, seen from the main thread. Each engine is one ONNX Runtime session in
// a separate thread.
//
// Invariant: after `ready`, `onLost` is called if the thread ends unasked or a run hangs, before
// any of the runs under way is rejected. So an owner that kills its process in `onLost` has
// answered none of them.

import process from 'node:process';
import { Worker } from 'node:worker_threads';
import { ScorelineError } from '../../shared/errors.js';
import type { Tensor } from '../../shared/tensors.js';
import {
  type Engine,
  type EngineDevice,
  EngineEnded,
  type RunResult,
  type Watch,
} from './engine.js';
import {
  type FromThread,
  packUp,
  type Refusal,
  type ThreadOptions,
  type ToThread,
} from './messages.js';

const hungGraceMs = 1000;

interface Run {
  resolve(result: RunResult): void;
  reject(error: Error): void;
}

/**
 * Loads an ONNX model in a new thread, which runs `script`.
 * @throws ScorelineError `provider_unavailable` or `model_file_wrong`
 */
export function openOnnxEngine(
  options: ThreadOptions,
  watch: Watch,
  script = new URL('./engine-thread.js', import.meta.url),
): Promise<Engine> {
  // ONNX Runtime would send reports to its maker, and keep an identifier of the machine in the home
  // directory. It looks at the environment of the process once, when it is loaded.
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  const thread = new Worker(script, { workerData: options, name: 'engine' });
  const runs = new Runs(thread, watch);
  return new Promise((resolve, reject) => {
    let isReady = false;
    const end = (error: Error) => {
      if (isReady) runs.lose(error.message);
      reject(error);
    };
    thread.on('error', end);
    thread.on('exit', () => end(new EngineEnded('The engine thread has ended.')));
    thread.on('message', (message: FromThread) => {
      if (message.type === 'failed') return reject(loadError(options, message));
      if (message.type !== 'ready') return runs.settle(message);
      isReady = true;
      const { inputs, outputs, refusal } = message;
      resolve({
        device: deviceOf(options, refusal),
        inputs,
        outputs,
        run: (batch, outputNames) => runs.start(batch, outputNames),
        close: () => runs.close(),
      });
    });
  });
}

/** The runs handed to the thread. The thread is working on the first. */
class Runs {
  readonly #thread: Worker;
  readonly #watch: Watch;
  readonly #underWay = new Map<number, Run>();
  #nextId = 0;
  #ended: EngineEnded | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  /** Called when no run is left. */
  readonly #onEmpty: (() => void)[] = [];

  constructor(thread: Worker, watch: Watch) {
    this.#thread = thread;
    this.#watch = watch;
  }

  start(batch: readonly Tensor[], outputNames?: readonly string[]): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      const id = this.#nextId++;
      const { tensors: inputs, transfer } = packUp(batch);
      this.#underWay.set(id, { resolve, reject });
      if (this.#underWay.size === 1) this.#watchFirst();
      this.#thread.postMessage({ id, inputs, outputNames } satisfies ToThread, transfer);
    });
  }

  settle(message: Extract<FromThread, { id: number }>): void {
    const run = this.#underWay.get(message.id);
    this.#underWay.delete(message.id);
    this.#watchFirst();
    if (message.type === 'done') run?.resolve(message);
    else run?.reject(modelFailed(message.reason));
    if (this.#underWay.size === 0) this.#wake();
  }

  /** Called when the thread has ended. */
  lose(reason: string): void {
    if (this.#ended) return;
    clearTimeout(this.#watchdog);
    this.#ended = new EngineEnded(reason);
    this.#watch.onLost(reason);
    for (const run of this.#underWay.values()) run.reject(this.#ended);
    this.#underWay.clear();
    this.#wake();
  }

  /** Waits for all runs, because ending a thread inside a run aborts the process. */
  async close(): Promise<void> {
    if (this.#underWay.size > 0) {
      await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
    }
    this.#ended ??= new EngineEnded('The engine was closed.');
    await this.#thread.terminate();
  }

  #wake(): void {
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  #watchFirst(): void {
    clearTimeout(this.#watchdog);
    if (this.#underWay.size === 0 || this.#ended) return;
    const { runMsMax, onLost } = this.#watch;
    this.#watchdog = setTimeout(() => {
      // A frozen process wakes up to an overdue timer while its run may be nearly done. Allow it 1
      // s.
      this.#watchdog = setTimeout(
        () => onLost(`a run takes longer than runMsMax, ${runMsMax} ms`),
        hungGraceMs,
      );
    }, runMsMax);
  }
}

function modelFailed(reason: string): ScorelineError {
  // The reason is for the log. Clients get the message alone.
  const cause = new Error(reason.trim());
  return new ScorelineError('model_failed', 'The model failed on this input.', { cause });
}

function deviceOf({ device }: ThreadOptions, refusal: Refusal | undefined): EngineDevice {
  if (refusal === undefined || device.fallback === undefined) return { type: device.type };
  const reason = `ONNX Runtime cannot use ${refusal.device} here. Install its driver and its libraries if the machine has one. ONNX Runtime says: ${refusal.reason}`;
  return { type: device.fallback, reason };
}

function loadError({ file }: ThreadOptions, refusal: Refusal): ScorelineError {
  const { device, reason, known } = refusal;
  const isDevice =
    device !== 'cpu' &&
    (!known.includes(device) || /provider|cuda|tensorrt|webgpu|library/i.test(reason));
  if (isDevice) return new ScorelineError('provider_unavailable', unusable(refusal));
  return new ScorelineError(
    'model_file_wrong',
    `${file}: expected an ONNX model that ONNX Runtime can load. It says: ${reason}`,
  );
}

function unusable({ device, reason, known }: Refusal): string {
  return `device: expected one that ONNX Runtime can use on this machine; got ${device}. Known to this build: ${known.join(', ')}. Install the driver and the libraries of ${device}, set device: cpu, or allow it where there is no ${device}: device: { type: ${device}, fallback: cpu }. ONNX Runtime says: ${reason}`;
}
