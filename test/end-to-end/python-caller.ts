// A Python that makes calls of the Python client, one after the other.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { root } from '../harness.js';
import { requirements } from '../python.js';

/** The folder of the client. */
export const folder = path.join(root, 'client/python');

// biome-ignore lint/suspicious/noExplicitAny: what comes of a call has any form.
type Outcome = any;

export interface Caller {
  call(asked: {
    url: string;
    method: string;
    arguments?: readonly unknown[];
    named?: object;
    key?: string;
    timeout_ms?: number;
    retries?: number;
  }): Promise<Outcome>;
  close(): void;
}

export function openCaller(...options: string[]): Caller {
  const command = ['dist/cli/python.js', requirements, 'test/end-to-end/python_client.py'];
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    [...command, folder, ...options],
    { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async call(asked) {
      child.stdin.write(`${JSON.stringify(asked)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error('Expected an outcome; Python has ended.');
      return JSON.parse(value);
    },
    close: () => child.stdin.end(),
  };
}
