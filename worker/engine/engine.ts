// The engine: what runs a model, seen from the scorer. Today that is ONNX Runtime in a thread
// (onnx.ts); whatever else runs models takes the same place.

import type { Datatype, Tensor } from '../../shared/tensors.js';

/** An input or output of a model. */
export interface TensorValue {
  readonly name: string;
  /** Undefined where the value is no tensor, or one of a type that cannot travel. */
  readonly datatype: Datatype | undefined;
  /** What the engine itself calls the type. */
  readonly type: string;
  /** A dimension that varies is a name, or an empty text. */
  readonly shape: ReadonlyArray<number | string>;
}

export interface RunResult {
  readonly outputs: readonly Tensor[];
  /** How long the model took, without what lies around it. */
  readonly computeMs: number;
}

export interface Engine {
  readonly inputs: readonly TensorValue[];
  readonly outputs: readonly TensorValue[];
  /**
   * Runs one batch; runs are done in the order of the calls. The memory of the inputs is given
   * away. `outputNames` are the outputs wanted, all that are tensors when it is left out.
   * @throws ScorelineError `model_failed` when the model fails on this batch
   * @throws EngineEnded when the engine is no more
   */
  run(inputs: readonly Tensor[], outputNames?: readonly string[]): Promise<RunResult>;
  /** Waits for the runs that were handed over, and ends the engine. */
  close(): Promise<void>;
}

export interface Watch {
  /** A run that takes longer counts as hung; it cannot be ended without its process. */
  readonly runMsMax: number;
  /**
   * Called once, when a run hangs or the engine has ended by itself, before any run is rejected.
   * Nothing can be scored from then on, and nothing that follows says anything about an input.
   */
  readonly onLost: (reason: string) => void;
}

/** The engine has ended. Not a failure of the model on an input, and never to be told as one. */
export class EngineEnded extends Error {
  override readonly name = 'EngineEnded';
}
