// Makes a model crash, throw or hang on a poisonous input. NODE_OPTIONS=--import loads this file
// into the workers before anything else, so the product needs no test hooks.
//
// NODE_OPTIONS also reaches threads and child processes, so this works wherever the engine runs.
// The patched class comes from onnxruntime-common, which is plain JavaScript. So processes that run
// no model do not load the native library.

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
  if (poison === 'throw') throw new Error('The poison made the model throw.');
  if (poison === 'crash') process.kill(process.pid, 'SIGSEGV');
  // Block outside JavaScript, like a hanging model: neither `terminate` on the thread nor `exit` on
  // the process can end that. Nobody ever writes to this pipe, so the open never returns.
  openSync(process.env.CHAOS_PIPE as string, 'r');
}
