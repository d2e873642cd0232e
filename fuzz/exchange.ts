// Sends requests over raw sockets, and gathers what comes back.

import { connect, type Socket } from 'node:net';
import type { Address } from '../chaos/client.js';
import { type Answer, readAnswer } from './answer.js';
import type { Shot } from './draft.js';

/**
 * What became of a request. A connection was `closed` by the server, or `left` by the client; a server that
 * does neither answer nor close in time is `silent`. `garbled` answers are no HTTP.
 */
export interface Exchange {
  readonly ending: 'answered' | 'closed' | 'left' | 'silent' | 'unreachable' | 'garbled';
  readonly answers: readonly Answer[];
  /** Bytes that came after the answers. */
  readonly rest: Buffer;
  readonly reason?: string | undefined;
}

export interface Sender {
  /** Never rejects. */
  send(shot: Shot): Promise<Exchange>;
  close(): void;
}

/** Longer than any deadline, and than the time that the server gives a client for its request. */
const silentAfterMs = 35_000;
/** A second answer to one request would come this soon. */
const moreWithinMs = 20;

/** Makes a client with one connection for requests that leave HTTP intact. */
export function makeSender(address: Address): Sender {
  let kept: Connection | undefined;

  const sendWhole = async (shot: Shot): Promise<Exchange> => {
    const isReused = kept !== undefined && !kept.isClosed;
    const connection = isReused ? (kept as Connection) : await Connection.open(address);
    kept = connection;
    const exchange = await connection.ask(shot);
    const [answer] = exchange.answers;
    const isLast = answer?.fields.get('connection')?.toLowerCase() === 'close';
    if (exchange.ending !== 'answered' || isLast) connection.close();
    // The server may have closed an idle connection just before the request.
    const wasIdle = isReused && exchange.ending === 'closed' && exchange.answers.length === 0;
    return wasIdle ? sendWhole(shot) : exchange;
  };

  const sendBroken = async (shot: Shot): Promise<Exchange> => {
    const connection = await Connection.open(address);
    const exchange = await connection.ask(shot);
    connection.close();
    return exchange;
  };

  return {
    async send(shot) {
      try {
        return await (shot.isWhole ? sendWhole(shot) : sendBroken(shot));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        return { ending: 'unreachable', answers: [], rest: Buffer.alloc(0), reason: code };
      }
    },
    close: () => kept?.close(),
  };
}

class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #reason: string | undefined;
  #wake: () => void = () => {};
  isClosed = false;

  static open(address: Address): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...address, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Connection(socket));
      });
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason = error.code ?? error.message;
    });
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
  }

  async ask({ bytes, isWhole, leaveAfterMs }: Shot): Promise<Exchange> {
    if (this.#received.length > 0) return this.#result('garbled', [], 'answered twice');
    this.#socket.write(bytes);
    const toHead = bytes.toString('latin1', 0, 5) === 'HEAD ';
    const until = performance.now() + (leaveAfterMs ?? silentAfterMs);
    const answers: Answer[] = [];
    for (;;) {
      try {
        for (let next = this.#take(toHead); next; next = this.#take(toHead)) answers.push(next);
      } catch (error) {
        return this.#result('garbled', answers, String(error));
      }
      const isAnswered = answers.length > 0 && leaveAfterMs === undefined;
      if (isAnswered && isWhole) return this.#result('answered', answers);
      if (this.isClosed) return this.#result('closed', answers);
      const waitMs = isAnswered ? moreWithinMs : until - performance.now();
      if (waitMs > 0 && (await this.#next(waitMs))) continue;
      if (isAnswered) return this.#result('answered', answers);
      return this.#result(leaveAfterMs === undefined ? 'silent' : 'left', answers);
    }
  }

  close(): void {
    this.isClosed = true;
    this.#socket.destroy();
  }

  #end(): void {
    this.isClosed = true;
    this.#wake();
  }

  #take(toHead: boolean): Answer | undefined {
    const read = readAnswer(this.#received, { toHead });
    if (read) this.#received = this.#received.subarray(read.length);
    return read?.answer;
  }

  #result(ending: Exchange['ending'], answers: readonly Answer[], reason = this.#reason): Exchange {
    return { ending, answers, rest: this.#received, reason };
  }

  /** Resolves when something happens, or to false when the time is over. */
  #next(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve(true);
      };
    });
  }
}
