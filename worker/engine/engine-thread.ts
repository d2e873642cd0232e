// The thread that runs a model. `InferenceSession.run` blocks its thread whatever its promise says
// (microsoft/onnxruntime#19611), so it has one to itself: the main thread renews locks, answers
// probes and forms the next batch meanwhile.

import { parentPort, workerData } from 'node:worker_threads';
import { InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import type { EngineOptions, FromThread, TensorValue, ToThread } from './engine.js';

const port = parentPort;
if (!port) throw new Error('The engine thread needs a parent thread. This is a bug.');
const options = workerData as EngineOptions;

const send = (message: FromThread, transfer: ArrayBuffer[] = []) =>
  port.postMessage(message, transfer);

try {
  const session = await openSession();
  const loaded = {
    session,
    inputName: session.inputNames[0] as string,
    // A classifier of skl2onnx has the label as its first output; the scores are the floats.
    outputName: session.outputMetadata.find(isFloats)?.name ?? (session.outputNames[0] as string),
  };
  port.on('message', (message: ToThread) => void run(loaded, message));
  send({
    type: 'ready',
    inputs: session.inputMetadata.map(describe),
    outputs: session.outputMetadata.map(describe),
  });
} catch (error) {
  send({
    type: 'failed',
    reason: (error as Error).message,
    devices: listSupportedBackends().map((backend) => backend.name),
  });
  port.close();
}

interface Loaded {
  readonly session: InferenceSession;
  readonly inputName: string;
  readonly outputName: string;
}

function isFloats(value: InferenceSession.ValueMetadata): boolean {
  return value.isTensor && value.type === 'float32';
}

function openSession() {
  const { device } = options;
  return InferenceSession.create(options.file, {
    executionProviders: [provider()],
    intraOpNumThreads: device.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    enableCpuMemArena: device.memoryArena,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    // A thread that waits for work by spinning takes the core that Redis and the API need.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

function provider() {
  const { device } = options;
  if (device.type === 'cpu') return 'cpu';
  if (device.type !== 'cuda') return { name: device.type, deviceId: device.id };
  return {
    name: 'cuda' as const,
    deviceId: device.id,
    ...(device.memoryBytesMax && { gpuMemLimit: device.memoryBytesMax }),
  };
}

async function run(
  { session, inputName, outputName }: Loaded,
  { id, input }: ToThread,
): Promise<void> {
  try {
    const started = performance.now();
    const tensor =
      input.type === 'string'
        ? new Tensor('string', input.data, input.dims)
        : new Tensor(input.type, input.data, input.dims);
    const results = await session.run({ [inputName]: tensor }, [outputName]);
    const computeMs = performance.now() - started;
    const output = results[outputName];
    if (!(output?.data instanceof Float32Array)) {
      throw new Error(`expected a float32 output; got ${output?.type}`);
    }
    // A copy, since the memory behind the output belongs to ONNX Runtime.
    const data = output.data.slice();
    send({ type: 'done', id, output: { dims: output.dims, data }, computeMs }, [data.buffer]);
  } catch (error) {
    send({ type: 'error', id, reason: (error as Error).message });
  }
}

function describe(value: InferenceSession.ValueMetadata): TensorValue {
  return value.isTensor
    ? { name: value.name, type: value.type, shape: value.shape }
    : { name: value.name, type: 'other', shape: [] };
}
