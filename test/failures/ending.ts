// Workers load this file before anything else, as they do with chaos/fault.ts. It makes a run with a
// poisonous text end the engine's thread and nothing else, as an out-of-memory error does.

import { createRequire } from 'node:module';
import process from 'node:process';
import type { InferenceSession as Session, Tensor } from 'onnxruntime-node';
import { findPoison } from '../../chaos/poison.js';

const runtime = createRequire(import.meta.url).resolve('onnxruntime-node');
const { InferenceSession } = createRequire(runtime)('onnxruntime-common') as {
  InferenceSession: { prototype: Session };
};

const { run } = InferenceSession.prototype;
InferenceSession.prototype.run = async function (this: Session, ...given: Parameters<typeof run>) {
  // In a worker thread, `process.exit` ends only the thread.
  if (Object.values(given[0]).some((tensor) => findPoison(tensor as Tensor))) process.exit(1);
  return run.apply(this, given);
} as typeof run;
