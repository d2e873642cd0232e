// The thread that writes a network as ONNX Runtime has optimised it, with its weights in a file beside it.

import path from 'node:path';
import { workerData } from 'node:worker_threads';
// biome-ignore lint/style/noRestrictedImports: this file is a door to ONNX Runtime, as engine-thread.ts is.
import { env, InferenceSession } from 'onnxruntime-node';
import type { OptimizeOptions } from './messages.js';

const { from, to } = workerData as OptimizeOptions;

// It would warn that the file must not be taken to another machine. Errors are thrown.
env.logLevel = 'fatal';
const session = await InferenceSession.create(from, {
  executionProviders: ['cpu'],
  graphOptimizationLevel: 'all',
  logSeverityLevel: 4,
  optimizedModelFilePath: to,
  intraOpNumThreads: 1,
  extra: {
    session: {
      optimized_model_external_initializers_file_name: `${path.basename(to)}.weights`,
      // Otherwise each session would pack the matrices of MatMul and Gemm into memory of its own.
      save_external_prepacked_constant_initializers: '1',
    },
  },
});
await session.release();
