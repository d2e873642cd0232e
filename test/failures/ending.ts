// Loaded into the workers before anything else, as chaos/fault.ts is: a model that is run with a
// poisonous text ends its thread, and only that, as one does that is out of memory.

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
  // In a thread, this ends the thread.
  if (Object.values(given[0]).some((tensor) => findPoison(tensor as Tensor))) process.exit(1);
  return run.apply(this, given);
} as typeof run;
