// The engine of ONNX models. Each has a session of ONNX Runtime in a thread beside the main one.
//
// A thread of Node takes 8 to 11 MB, and most of the time that a small model takes to load. So when a worker has many
// small models, several share a thread, in which a run waits for the runs and loads before it. Large models and models on
// other devices never share: they would hold up the others, or be held up. Nor do copies of a model, which are there to
// run side by side.

import { ScorelineError } from '../../shared/errors.js';
import { countCores } from '../../shared/process/processors.js';
import type { Engine, EngineDevice, Watch } from './engine.js';
import type { Refusal, SessionOptions } from './messages.js';
import { plainReason } from './plain-reason.js';
import { SessionRefused, SessionThread } from './session-thread.js';

/** How many threads models have of their own before others join them. */
export const sharedThreads = Math.max(8, 2 * countCores());
/**
 * A larger model has a thread of its own. A load takes 1 to 4 ms of processor time a megabyte, and 16 to 23 where the
 * megabytes are trees.
 */
const sharedBytesMax = 4 * 1024 * 1024;
/** The threads of this process that others may join. */
const joinable = new Set<SessionThread>();

/**
 * Loads an ONNX model in a thread, which runs `script`.
 * @param options.isCopy whether the model has other copies
 * @param options.bytes the size of its files
 * @throws ScorelineError `provider_unavailable` or `model_file_wrong`
 */
export async function openOnnxEngine(
  { isCopy = false, bytes = 0, ...options }: SessionOptions & { isCopy?: boolean; bytes?: number },
  watch: Watch,
  script?: URL,
): Promise<Engine> {
  const isLoner = options.device.type !== 'cpu' || isCopy || bytes > sharedBytesMax;
  const thread = threadFor(!isLoner && script === undefined, script);
  try {
    const { engine, refusal } = await thread.open(options, watch);
    return { ...engine, device: deviceOf(options, refusal) };
  } catch (thrown) {
    throw thrown instanceof SessionRefused ? loadError(options, thrown.refusal) : thrown;
  }
}

function threadFor(
  mayShare: boolean,
  script = new URL('./engine-thread.js', import.meta.url),
): SessionThread {
  if (!mayShare) return new SessionThread(script);
  for (const thread of joinable) if (thread.sessions === 0) joinable.delete(thread);
  if (joinable.size >= sharedThreads) {
    return [...joinable].reduce((least, each) => (each.sessions < least.sessions ? each : least));
  }
  const thread = new SessionThread(script);
  joinable.add(thread);
  return thread;
}

function deviceOf({ device }: SessionOptions, refusal: Refusal | undefined): EngineDevice {
  if (refusal === undefined || device.fallback === undefined) return { type: device.type };
  const reason = `ONNX Runtime cannot use ${refusal.device} here. Install its driver and its libraries if the machine has one. ONNX Runtime says: ${refusal.reason}`;
  return { type: device.fallback, reason };
}

function loadError({ file }: SessionOptions, refusal: Refusal): ScorelineError {
  const { device, reason, known } = refusal;
  const isDevice =
    device !== 'cpu' &&
    (!known.includes(device) || /provider|cuda|tensorrt|webgpu|library/i.test(reason));
  if (isDevice) return new ScorelineError('provider_unavailable', unusable(refusal));
  return new ScorelineError(
    'model_file_wrong',
    `${file}: expected an ONNX model that ONNX Runtime can load. It says: ${plainReason(reason)}${remedyFor(reason)}`,
  );
}

function remedyFor(reason: string): string {
  if (!/opset|IR version/i.test(reason)) return '';
  return '. The file is newer than this ONNX Runtime: export it with a lower opset, or with an older version of the exporter';
}

function unusable({ device, reason, known }: Refusal): string {
  return `device: expected one that ONNX Runtime can use on this machine; got ${device}. Known to this build: ${known.join(', ')}. Install the driver and the libraries of ${device}, set device: cpu, or allow it where there is no ${device}: device: { type: ${device}, fallback: cpu }. ONNX Runtime says: ${reason}`;
}
