// The target of a run: a service with models, the requests to send to it, and the faults to inject.

import type { Address } from './client.js';
import type { AnswerForm, Expectation } from './judge.js';
import type { PoisonKind } from './poison.js';
import type { Receiver } from './receiver.js';
import type { Fault, FaultKind } from './schedule.js';

export interface Input {
  readonly model: string;
  readonly expectation: Expectation;
  /** The request as it goes over the wire. */
  readonly request: Buffer;
  readonly deadlineMs: number;
}

/** What a target is started with. */
export interface TargetOptions {
  /** For logs, and for what the target needs. */
  readonly directory: string;
  readonly workers: number;
  readonly deadlineMs: number;
  /** If set, there is room for so many jobs. */
  readonly jobs?: number | undefined;
  readonly say: (line: string) => void;
}

export interface Target {
  readonly address: Address;
  readonly models: readonly string[];
  /** Where the target sends webhooks; undefined if it sends none. */
  readonly receiver?: Receiver;
  /** Returns the inputs of one model, each with its expected answer. */
  inputsOf(model: string): readonly Input[];
  /** Returns a poison for a model. `tag` makes a poisonous text unique. */
  poison(kind: PoisonKind, model: string, tag: string): Promise<Input>;
  formOf(model: string): AnswerForm;
  /** The faults that the target injects. `poison` and `hang-up` come from the clients instead. */
  readonly faults: Partial<Record<FaultKind, (fault: Fault) => Promise<void>>>;
  /** Suspends all workers. Call the returned function to resume them. */
  readonly pauseWorkers?: () => () => void;
  /** Waits until every process says it is ready. Resolves to false if the time runs out. */
  isReady(withinMs: number): Promise<boolean>;
  /** Checks the target after the load. Returns what is wrong with it, or an empty list. */
  findIllness(): Promise<string[]>;
  /** Stops everything. Returns what did not stop properly, or an empty list. */
  close(): Promise<string[]>;
}
