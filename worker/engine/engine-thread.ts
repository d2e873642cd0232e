// The thread that runs a model, or several (session-thread.ts). `InferenceSession.run` returns a promise but blocks
// its thread (microsoft/onnxruntime#19611). In a separate thread it leaves the main thread free to renew
// locks, answer probes and form the next batch.

import process from 'node:process';
import { parentPort } from 'node:worker_threads';
// biome-ignore lint/style/noRestrictedImports: this file is the door to ONNX Runtime.
import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import type { Device } from '../../shared/manifest/manifest.js';
import { countCores } from '../../shared/process/processors.js';
import {
  type Batch,
  type FromThread,
  packUp,
  type Refusal,
  type SessionOptions,
  type ToThread,
} from './messages.js';
import { describeValue, fromRuntime, type RuntimeTensor, toRuntime } from './runtime-tensors.js';

const port = parentPort;
if (!port) throw new Error('The engine thread needs a parent thread. This is a bug.');

interface Session {
  readonly session: InferenceSession;
  readonly tensorNames: readonly string[];
}

const sessions = new Map<number, Session>();

const send = (message: FromThread, transfer: ArrayBuffer[] = []) =>
  port.postMessage(message, transfer);

/** One thing after the other, in the order of the messages, by which the main thread knows what is under way. */
let last: Promise<void> = Promise.resolve();
port.on('message', (message: ToThread) => {
  last = last.then(() => handle(message));
});

async function handle(message: ToThread): Promise<void> {
  if (message.type === 'end') process.exit();
  const { session: number } = message;
  if (message.type === 'open') return open(number, message.options);
  const opened = sessions.get(number);
  if (!opened) throw new Error('A session that is not open got a message. This is a bug.');
  if (message.type === 'run') return run(opened, message.id, message);
  sessions.delete(number);
  await opened.session.release();
}

async function open(number: number, options: SessionOptions): Promise<void> {
  const { type, fallback } = options.device;
  // ONNX Runtime throws its errors. With a lower level here and in the session's options, it would write
  // them to standard error as well, in colour. But only its log names the library that a GPU lacks.
  env.logLevel = type === 'cpu' ? 'fatal' : 'error';
  try {
    const { session, refusal } = await openSession(options);
    const outputs = session.outputMetadata.map(describeValue);
    const tensorNames = outputs.filter(({ datatype }) => datatype).map(({ name }) => name);
    sessions.set(number, { session, tensorNames });
    const inputs = session.inputMetadata.map(describeValue);
    send({ type: 'ready', session: number, inputs, outputs, refusal });
  } catch (thrown) {
    send({ type: 'failed', session: number, ...refusalOf(fallback ?? type, thrown) });
  }
}

/** Opens a session on the device, or on its fallback if the device cannot be used. */
async function openSession(options: SessionOptions): Promise<{
  session: InferenceSession;
  refusal: Refusal | undefined;
}> {
  const { type, fallback } = options.device;
  try {
    return { session: await openOn(type, options), refusal: undefined };
  } catch (thrown) {
    if (fallback === undefined) throw thrown;
    return { session: await openOn(fallback, options), refusal: refusalOf(type, thrown) };
  }
}

function refusalOf(device: Device['type'], thrown: unknown): Refusal {
  const known = listSupportedBackends().map((backend) => backend.name);
  return { device, reason: (thrown as Error).message.trim(), known };
}

function openOn(
  type: Device['type'],
  { file, device, isOptimized }: SessionOptions,
): Promise<InferenceSession> {
  return InferenceSession.create(file, {
    executionProviders: [provider(type, device)],
    // By itself, ONNX Runtime would count the machine's cores, whatever the container's limit is, and bind a thread to each.
    intraOpNumThreads: device.threads || countCores(),
    interOpNumThreads: 1,
    executionMode: 'sequential',
    enableCpuMemArena: device.memoryArena,
    graphOptimizationLevel: isOptimized ? 'disabled' : 'all',
    logSeverityLevel: 4,
    // Threads that spin while they wait take processor time that Redis and the API need.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

function provider(name: Device['type'], { id: deviceId, memoryBytesMax }: Device) {
  switch (name) {
    case 'cuda':
      return { name, deviceId, ...(memoryBytesMax && { gpuMemLimit: memoryBytesMax }) };
    case 'tensorrt':
    case 'dml':
      return { name, deviceId };
    // The others know no index of a device, and refuse one.
    default:
      return name;
  }
}

async function run(
  { session, tensorNames }: Session,
  id: number,
  { inputs, outputNames = tensorNames }: Batch,
): Promise<void> {
  try {
    // An input may have any name, such as __proto__.
    const feeds = Object.fromEntries(
      inputs.map((input) => [input.name, makeTensor(toRuntime(input))]),
    );
    const started = performance.now();
    const results = await session.run(feeds, outputNames);
    const computeMs = performance.now() - started;
    const outputs = outputNames.map((name) =>
      fromRuntime(name, results[name] as unknown as RuntimeTensor),
    );
    const { tensors, transfer } = packUp(outputs);
    send({ type: 'done', id, outputs: tensors, computeMs }, transfer);
  } catch (error) {
    send({ type: 'error', id, reason: (error as Error).message });
  }
}

/**
 * Makes a tensor for ONNX Runtime. If Node has Float16Array, `Tensor` converts float16 data to one,
 * which ONNX Runtime 1.30 reads as empty. So float16 goes as a plain object, whose bits it reads.
 */
function makeTensor({ type, dims, data }: RuntimeTensor): Tensor {
  if (type === 'float16') return { type, dims, data, location: 'cpu' } as unknown as Tensor;
  return new Tensor(type as 'float32', data as Float32Array, dims);
}
