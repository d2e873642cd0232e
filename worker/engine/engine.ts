// The engine runs a model for the scorer: ONNX Runtime in a thread (onnx.ts), or Python in a process
// (python.ts).

import type { ScorelineError } from '../../shared/errors.js';
import type { Device } from '../../shared/manifest/manifest.js';
import type { Datatype, Tensor } from '../../shared/tensors/tensors.js';

/** An input or output of a model. */
export interface TensorValue {
  readonly name: string;
  /** Undefined if the value is not a tensor, or its type has no datatype on the wire. */
  readonly datatype: Datatype | undefined;
  /** The engine's own name of the type. */
  readonly type: string;
  /** An open dimension is a name, or an empty text. */
  readonly shape: ReadonlyArray<number | string>;
}

export interface RunResult {
  readonly outputs: readonly Tensor[];
  /** How long the model's run took, without conversions and messages. */
  readonly computeMs: number;
}

/** The device that an engine runs on. */
export interface EngineDevice {
  readonly type: Device['type'];
  /** Why it is not the one that the manifest wants, if it is its fallback. */
  readonly reason?: string;
}

/** The inputs and outputs of a model. */
export interface Values {
  readonly inputs: readonly TensorValue[];
  readonly outputs: readonly TensorValue[];
}

export interface Engine extends Values {
  readonly device: EngineDevice;
  /**
   * Runs one batch. Runs keep the order of the calls. The engine takes over the memory of the
   * inputs. It returns the outputs in `outputNames`, or by default all that are tensors.
   * @throws ScorelineError `model_failed` if the model fails on this batch
   * @throws EngineEnded if the engine has ended
   */
  run(inputs: readonly Tensor[], outputNames?: readonly string[]): Promise<RunResult>;
  /** Waits for the runs under way, and then ends the engine. */
  close(): Promise<void>;
}

/** The owner of an engine. */
export interface Owner {
  /**
   * Called when a run hangs or the engine has ended by itself, before any run is rejected. Nothing
   * can be scored from then on, and no later error may be blamed on an input.
   * @param cause the error of a load that fails by it, if the model is not to blame
   */
  readonly onLost: (reason: string, cause?: ScorelineError) => void;
  /** Ends a program, and must not be aborted once that is warm. A network cannot stop loading halfway. */
  readonly signal?: AbortSignal | undefined;
}

/** How an engine is watched, and who is told when it is lost. */
export interface Watch extends Owner {
  /** A run that takes longer, in milliseconds, counts as hung. Only killing its process ends it. */
  readonly runMsMax: number;
}

/** Who may read why a run failed: every caller, only callers who sent the tensors themselves, or nobody (the log has it). */
export type ReasonReader = 'caller' | 'caller of tensors' | 'log';

/** Why a run failed, in the words of the runtime. It is the cause of a `model_failed`. */
export class RunFailure extends Error {
  override readonly name = 'RunFailure';
  /** The name of the runtime, such as ONNX Runtime. */
  readonly runtime: string;
  readonly reader: ReasonReader;

  constructor(reason: string, of: { runtime: string; reader: ReasonReader }) {
    super(reason);
    this.runtime = of.runtime;
    this.reader = of.reader;
  }
}

/** The engine has ended. It must never be reported as a failure of the model on an input. */
export class EngineEnded extends Error {
  override readonly name = 'EngineEnded';
  /** The error of a load that fails by it, if the model is not to blame. */
  declare readonly cause?: ScorelineError | undefined;
}
