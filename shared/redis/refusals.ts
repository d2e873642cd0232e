// Refusals: what a failed connection proves about REDIS_URL. We wait for a Redis that is away, but
// refuse to start where waiting would not help, and say what to do.

import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import type { ScorelineError } from '../errors.js';
import { tlsOptions } from './node.js';
import { isWrongDatabase } from './redis.js';
import { explainHandshake } from './tls.js';
import { describeNode, type RedisAddress, type RedisNode, unusable } from './url.js';

const answersWithinMs = 1500;

/**
 * Returns why Redis cannot be used with this URL; undefined if it may be just away.
 * @param node the server that was tried
 */
export async function findRefusal(
  thrown: Error,
  address: RedisAddress,
  node: RedisNode,
): Promise<ScorelineError | undefined> {
  const target: Target = { ...node, family: address.family };
  const advice = adviceFor(thrown, address, node);
  if (advice) return unusable(...advice, thrown);
  // The next steps ask the server, which is of no use if none answered.
  if (/^E(CONNREFUSED|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH)$/.test(codeOf(thrown))) return;
  if (address.isTls) {
    const objection = await findObjection(target, tlsOptions(address, node));
    const advice = objection && explainHandshake(objection, node.host);
    if (advice) return unusable(...advice, thrown);
  }
  const answer = await askPlainly(target);
  if (/^-DENIED/.test(answer)) {
    return unusable(
      'a Redis that takes connections from here',
      'one in protected mode',
      'Give its default user a password.',
      thrown,
    );
  }
  const isPlain = /^(\+PONG|-[A-Z]+ )/.test(answer);
  if (address.isTls && isPlain) {
    const advice = 'Write redis instead of rediss.';
    return unusable('a Redis that takes TLS', 'one that does not', advice, thrown);
  }
  if (!address.isTls && !isPlain && (await answersTls(target))) {
    const advice = 'Write rediss instead of redis.';
    return unusable('a Redis that takes no TLS', 'one that does', advice, thrown);
  }
  return undefined;
}

type Target = RedisNode & Pick<RedisAddress, 'family'>;

function adviceFor(
  thrown: Error,
  { db }: RedisAddress,
  node: RedisNode,
): readonly [expected: string, got: string, advice: string] | undefined {
  const { message } = thrown;
  if (/WRONGPASS|NOAUTH|invalid password|invalid username-password/i.test(message)) {
    return [
      'a user and password that Redis accepts',
      'ones that it refuses',
      'Check both, and REDIS_PASSWORD.',
    ];
  }
  if (isWrongDatabase(thrown)) {
    return [
      `a database ${db} that this user may use`,
      `the answer "${message}"`,
      'Choose another number, such as 0, or allow it in Redis.',
    ];
  }
  if (/Unknown RESP type/.test(message)) {
    return [`a Redis at ${describeNode(node)}`, 'a server of another kind', 'Check host and port.'];
  }
  return explainHandshake(thrown, node.host);
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** Returns what a server answers to a PING without TLS; nothing if it does not. */
function askPlainly(target: Target): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectPlain(target);
    socket.once('data', (data) => endWith(socket, resolve, String(data)));
    socket.write('PING\r\n');
    onceSilent(socket, () => endWith(socket, resolve, ''));
  });
}

/**
 * Returns what a server has against the certificate of a client, or against its having none. In TLS 1.3 it says so
 * after its side of the handshake. A client that has written something by then may see no more than a reset.
 */
function findObjection(target: Target, options: TlsOptions): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const socket = connectTls({ ...target, ...options });
    socket.once('error', (error) => endWith(socket, resolve, error));
    onceSilent(socket, () => endWith(socket, resolve, undefined));
  });
}

/** Whether a server agrees to TLS, whatever its certificate. */
function answersTls({ host, port }: Target): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ host, port, rejectUnauthorized: false });
    socket.once('secureConnect', () => endWith(socket, resolve, true));
    onceSilent(socket, () => endWith(socket, resolve, false));
  });
}

function onceSilent(socket: Socket, listener: () => void): void {
  socket.setTimeout(answersWithinMs, listener);
  socket.on('error', listener);
  socket.on('close', listener);
}

function endWith<T>(socket: Socket, resolve: (answer: T) => void, answer: T): void {
  resolve(answer);
  socket.destroy();
}
