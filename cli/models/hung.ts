// Runs that do not end, in commands. Nothing can end the thread of ONNX Runtime, so the command ends with it. A Python
// program has a process of its own, whose end is an error of its run.

import process from 'node:process';
import type { Owner } from '../../worker/engine/engine.js';
import { leave } from '../temporary.js';

/** Returns who is told that the engine of this model is lost. */
export function endIfHung(name: string, engine: 'onnx' | 'python' = 'onnx'): Owner['onLost'] {
  return (reason) => {
    if (engine !== 'onnx') return;
    process.stderr.write(
      `${name}: expected the model to score; ${reason}. Give its manifest an example that it scores, or a higher runMsMax.\n`,
    );
    leave('SIGKILL');
  };
}
