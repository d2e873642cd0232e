// A thread with sessions of ONNX Runtime, seen from the main thread. It works on one thing after the other.
//
// Invariant: `onLost` of each session that is open is called if the thread ends unasked or a run hangs, before any of
// the runs under way is rejected. So an owner that kills its process in `onLost` has answered none of them.

import type { Worker } from 'node:worker_threads';
import { type Engine, EngineEnded, type Watch } from './engine.js';
import {
  type FromThread,
  packUp,
  type Refusal,
  type SessionOptions,
  type ToThread,
} from './messages.js';
import { Runs } from './runs.js';
import { startRuntimeThread } from './runtime-thread.js';

interface Session {
  readonly watch: Watch;
  readonly runMsMax: number;
  /** Undefined once it is open. */
  opening: Opening | undefined;
}

interface Opening {
  resolve(opened: Ready): void;
  reject(error: unknown): void;
}

type Ready = Extract<FromThread, { type: 'ready' }>;

/** Why no session could be opened. */
export class SessionRefused extends Error {
  override readonly name = 'SessionRefused';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.reason);
    this.refusal = refusal;
  }
}

export class SessionThread {
  readonly #thread: Worker;
  readonly #sessions = new Map<number, Session>();
  readonly #runs: Runs;
  readonly #ended: Promise<unknown>;
  #nextSession = 0;

  constructor(script: URL) {
    this.#thread = startRuntimeThread(script, 'engine', {});
    this.#ended = new Promise((resolve) => this.#thread.once('exit', resolve));
    this.#runs = new Runs({
      runtime: 'ONNX Runtime',
      onLost: (reason) => {
        for (const { opening, watch } of this.#sessions.values()) {
          if (!opening) watch.onLost(reason);
        }
      },
    });
    this.#thread.on('error', (error) => this.#lose(error));
    this.#thread.on('exit', () => this.#lose(new EngineEnded('The engine thread has ended.')));
    this.#thread.on('message', (message: FromThread) => this.#settle(message));
  }

  /** How many sessions it has, with those that are being opened. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /**
   * Opens a session. If it cannot be opened and the thread has no other, the thread ends.
   * @throws SessionRefused
   */
  async open(
    options: SessionOptions,
    watch: Watch,
  ): Promise<{ engine: Omit<Engine, 'device'>; refusal: Refusal | undefined }> {
    const number = this.#nextSession++;
    const session: Session = { watch, runMsMax: watch.runMsMax, opening: undefined };
    this.#sessions.set(number, session);
    const leave = this.#runs.queue();
    try {
      const { inputs, outputs, refusal } = await new Promise<Ready>((resolve, reject) => {
        session.opening = { resolve, reject };
        this.#send({ type: 'open', session: number, options });
      });
      let closing: Promise<void> | undefined;
      const engine: Omit<Engine, 'device'> = {
        inputs,
        outputs,
        run: (batch, outputNames) => {
          if (!this.#sessions.has(number)) {
            return Promise.reject(new EngineEnded('The engine was closed.'));
          }
          return this.#runs.start(session, (id) => {
            const { tensors, transfer } = packUp(batch);
            this.#send(
              { type: 'run', session: number, id, inputs: tensors, outputNames },
              transfer,
            );
          });
        },
        close: () => {
          closing ??= this.#close(number, session);
          return closing;
        },
      };
      return { engine, refusal };
    } catch (thrown) {
      await this.#remove(number);
      throw thrown;
    } finally {
      leave();
    }
  }

  async #close(number: number, session: Session): Promise<void> {
    await this.#runs.finished(session);
    if (this.#sessions.size > 1) this.#send({ type: 'close', session: number });
    await this.#remove(number);
  }

  /**
   * Removes a session. With the last one, the thread ends itself when it has done all it was told. To be ended from here,
   * which it may not survive in ONNX Runtime, would abort the process.
   */
  async #remove(number: number): Promise<void> {
    this.#sessions.delete(number);
    if (this.#sessions.size > 0) return;
    this.#runs.end();
    this.#send({ type: 'end' });
    await this.#ended;
  }

  #send(message: ToThread, transfer: ArrayBuffer[] = []): void {
    this.#thread.postMessage(message, transfer);
  }

  #settle(message: FromThread): void {
    switch (message.type) {
      case 'done':
        this.#runs.finish(message.id, message);
        break;
      case 'error':
        this.#runs.fail(message.id, { reason: message.reason });
        break;
      default:
        this.#answerOpening(message);
    }
  }

  #answerOpening(message: Extract<FromThread, { session: number }>): void {
    const session = this.#sessions.get(message.session);
    const opening = session?.opening;
    if (!session || !opening) throw new Error('A session is opened once. This is a bug.');
    session.opening = undefined;
    if (message.type === 'ready') opening.resolve(message);
    else opening.reject(new SessionRefused(message));
  }

  #lose(error: Error): void {
    const opening = [...this.#sessions.values()].flatMap((session) => session.opening ?? []);
    this.#runs.lose(error.message);
    this.#sessions.clear();
    for (const { reject } of opening) reject(error);
  }
}
