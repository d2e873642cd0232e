// The engine of ONNX models, seen from the main thread. Each engine is one ONNX Runtime session in
// a separate thread.
//
// Invariant: after `ready`, `onLost` is called if the thread ends unasked or a run hangs, before
// any of the runs under way is rejected. So an owner that kills its process in `onLost` has
// answered none of them.

import { ScorelineError } from '../../shared/errors.js';
import { type Engine, type EngineDevice, EngineEnded, type Watch } from './engine.js';
import {
  type FromThread,
  packUp,
  type Refusal,
  type ThreadOptions,
  type ToThread,
} from './messages.js';
import { Runs } from './runs.js';
import { startRuntimeThread } from './runtime-thread.js';

/**
 * Loads an ONNX model in a new thread, which runs `script`.
 * @throws ScorelineError `provider_unavailable` or `model_file_wrong`
 */
export function openOnnxEngine(
  options: ThreadOptions,
  watch: Watch,
  script = new URL('./engine-thread.js', import.meta.url),
): Promise<Engine> {
  const thread = startRuntimeThread(script, 'engine', options);
  const runs = new Runs(watch, {
    runtime: 'ONNX Runtime',
    send: (id, batch, outputNames) => {
      const { tensors: inputs, transfer } = packUp(batch);
      thread.postMessage({ id, inputs, outputNames } satisfies ToThread, transfer);
    },
    end: async () => void (await thread.terminate()),
  });
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
      if (message.type === 'done') return runs.finish(message.id, message);
      if (message.type === 'error') return runs.fail(message.id, { reason: message.reason });
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
