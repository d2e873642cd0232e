// What is tested: a service with models, the requests it gets, and the faults it can suffer.

import type { AnswerForm, Expectation } from './judge.js';
import type { PoisonKind } from './poison.js';
import type { Fault, FaultKind } from './schedule.js';

export interface Input {
  readonly model: string;
  readonly expectation: Expectation;
  /** The request as it goes over the wire. */
  readonly request: Buffer;
  readonly deadlineMs: number;
}

export interface Target {
  readonly port: number;
  readonly models: readonly string[];
  /** The inputs of one model, with the answers they should get. */
  inputsOf(model: string): readonly Input[];
  /** A poison for a model; `tag` makes it one of its kind. */
  poison(kind: PoisonKind, model: string, tag: string): Promise<Input>;
  formOf(model: string): AnswerForm;
  /** The faults beside those that clients make (poison and hang-up). */
  readonly faults: Partial<Record<FaultKind, (fault: Fault) => Promise<void>>>;
  /** Resolves when every process is there and says it is ready, to whether that was in time. */
  isReady(withinMs: number): Promise<boolean>;
  /** What is not as it should be after the load has ended: reasons, or none. */
  findIllness(): Promise<string[]>;
  /** Ends everything; returns what did not end in order. */
  close(): Promise<string[]>;
}
