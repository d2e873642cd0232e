// Runs cases with bare onnxruntime-node in a process of its own, because some networks end theirs and
// others never end.

import { type ChildProcess, fork } from 'node:child_process';
import type { Datatype } from '../shared/tensors/tensors.js';
import type { Values } from '../worker/engine/engine.js';
import type { Case } from './cases.js';

export interface BareOutput {
  readonly name: string;
  /** ONNX Runtime's name of the type. */
  readonly type: string;
  readonly shape: readonly number[];
  /** The numbers, as they lie in memory. */
  readonly bytes?: Uint8Array;
  readonly texts?: readonly string[];
}

export type BareOutcome =
  | {
      readonly values: Values;
      readonly outputs: readonly BareOutput[];
      /** Whether the network answers something else each time. */
      readonly isRandom: boolean;
    }
  /** Without `values`, the model could not be loaded. */
  | { readonly error: string; readonly values?: Values; readonly isCrash?: boolean };

const caseMsMax = 20_000;

export class BareRuntime {
  #child: ChildProcess | undefined;

  /** Never rejects: a case that ends the process, or does not end, has an error. */
  run(each: Case): Promise<BareOutcome> {
    this.#child ??= fork(new URL('./bare-process.js', import.meta.url), {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const child = this.#child;
    return new Promise((resolve) => {
      const settle = (outcome: BareOutcome) => {
        clearTimeout(timer);
        child.removeAllListeners();
        resolve(outcome);
      };
      const timer = setTimeout(() => child.kill('SIGKILL'), caseMsMax);
      child.once('message', (message) => settle(message as BareOutcome));
      child.once('exit', (code, signal) => {
        this.#child = undefined;
        settle({ error: `it ended its process (${signal ?? code})`, isCrash: true });
      });
      child.send(each);
    });
  }

  close(): void {
    this.#child?.disconnect();
  }
}

const typesOf: Readonly<Partial<Record<Datatype, string>>> = {
  BYTES: 'string',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
};

/** Returns ONNX Runtime's name of a datatype. */
export function typeOf(datatype: Datatype): string {
  return typesOf[datatype] ?? datatype.toLowerCase();
}
