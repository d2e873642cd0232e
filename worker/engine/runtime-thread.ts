// Starts the threads that load ONNX Runtime.

import process from 'node:process';
import { Worker } from 'node:worker_threads';

export function startRuntimeThread(script: URL, name: string, workerData: object): Worker {
  // ONNX Runtime would send reports to its maker, and keep an identifier of the machine in the home
  // directory. It looks at the environment of the process once, when it is loaded.
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  return new Worker(script, { workerData, name });
}
