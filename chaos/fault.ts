// Loaded into the workers before anything else, by NODE_OPTIONS=--import, so that the product needs
// no doors for tests: a model that is run with a poisonous input crashes, throws or hangs.
//
// NODE_OPTIONS reaches threads and child processes too, so this works wherever the engine runs. The
// class is taken from onnxruntime-common, which is plain JavaScript: processes that run no model do
// not load the native library for it.

import { openSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import type { InferenceSession as Session, Tensor } from 'onnxruntime-node';
import { findPoison, type PoisonKind } from './poison.js';

const runtime = createRequire(import.meta.url).resolve('onnxruntime-node');
const { InferenceSession } = createRequire(runtime)('onnxruntime-common') as {
  InferenceSession: { prototype: Session };
};

const { run } = InferenceSession.prototype;
InferenceSession.prototype.run = async function (this: Session, ...given: Parameters<typeof run>) {
  for (const tensor of Object.values(given[0])) {
    const poison = findPoison(tensor as Tensor);
    if (poison) suffer(poison);
  }
  return run.apply(this, given);
} as typeof run;

function suffer(poison: PoisonKind): void {
  if (poison === 'throw') throw new Error('The poison has made the model throw.');
  if (poison === 'crash') process.kill(process.pid, 'SIGSEGV');
  // Blocked outside JavaScript, as a model that hangs is: neither `terminate` of the thread nor
  // `exit` of the process ends that. Nobody ever writes to this pipe, so the open never returns.
  openSync(process.env.CHAOS_PIPE as string, 'r');
}
