// Refusals: what a failed connection proves about REDIS_URL. We wait for a Redis that is away, but
// refuse to start where waiting would not help, and say what to do.

import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ScorelineError } from './errors.js';
import { isWrongDatabase } from './redis.js';
import { type RedisAddress, unusable } from './redis-url.js';

const answersWithinMs = 1500;

/** Returns why Redis cannot be used with this URL; undefined if it may be just away. */
export async function findRefusal(
  thrown: Error,
  address: RedisAddress,
): Promise<ScorelineError | undefined> {
  const advice = adviceFor(thrown, address);
  if (advice) return unusable(...advice, thrown);
  // What follows asks the server, so it is left out if none answered.
  if (/^E(CONNREFUSED|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH)$/.test(codeOf(thrown))) return;
  const answer = await askPlainly(address);
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
    return unusable('a Redis that takes TLS', 'one that does not', 'Set redis:// there.', thrown);
  }
  if (!address.isTls && !isPlain && (await answersTls(address))) {
    return unusable('a Redis that takes no TLS', 'one that does', 'Set rediss:// there.', thrown);
  }
  return undefined;
}

function adviceFor(
  thrown: Error,
  { host, port, db }: RedisAddress,
): [string, string, string] | undefined {
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
    return [`a Redis at ${host}:${port}`, 'a server of another kind', 'Check host and port.'];
  }
  if (/CERT|SIGNED|ISSUER|ALTNAME/.test(codeOf(thrown))) {
    return [
      `a certificate for ${host} that this machine trusts`,
      `one that it does not (${message})`,
      'Put the file of its authority into NODE_EXTRA_CA_CERTS, and use the name in the certificate.',
    ];
  }
  return undefined;
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** Returns what a server answers to a PING without TLS; nothing if it does not. */
function askPlainly({ host, port, family }: RedisAddress): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectPlain({ host, port, family });
    socket.once('data', (data) => endWith(socket, resolve, String(data)));
    socket.write('PING\r\n');
    onceSilent(socket, () => endWith(socket, resolve, ''));
  });
}

/** Whether a server agrees to TLS, whatever its certificate. */
function answersTls({ host, port }: RedisAddress): Promise<boolean> {
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
