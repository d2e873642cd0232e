// Tests the life of a process, on a process that only notes what happens to it.

import { EventEmitter, once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { ScorelineError } from '../../shared/errors.js';
import { live } from '../../shared/process/lifecycle.js';

/**
 * Lets a process live, and ends it. Returns what happened until it exited.
 * @param meanwhile what happens while it lives
 */
async function endBy(
  event: string,
  parameters: unknown[] = [],
  meanwhile: [event: string, ...parameters: unknown[]] = ['nothing'],
): Promise<string[]> {
  const happened: string[] = [];
  const process = Object.assign(new EventEmitter(), {
    env: { LOG_LEVEL: 'silent' },
    argv: [],
    exit(code: number) {
      happened.push(`exit ${code}`);
      process.emit('exited');
    },
    // The timer of SHUTDOWN_MS goes on here, where no process ends, and other tests run by then.
    kill() {},
  });
  // As Node does.
  process.on('warning', () => happened.push('text among the lines of the log'));
  const note = (what: string) => async () => void happened.push(what);
  await live(process as unknown as NodeJS.Process, 'api', async () => ({
    report: {},
    leave: note('leave'),
    close: note('close'),
  }));
  const exited = once(process, 'exited');
  process.emit(...meanwhile);
  process.emit(event, ...parameters);
  await exited;
  return happened;
}

describe('a process', () => {
  test.each(['SIGTERM', 'SIGINT'])(
    'sends its clients elsewhere before it ends by %s',
    async (signal) => {
      expect(await endBy(signal)).toEqual(['leave', 'close', 'exit 0']);
    },
  );

  test('says why it cannot start, also without a log', async () => {
    const happened: string[] = [];
    const process = Object.assign(new EventEmitter(), {
      ...{ env: { LOG_LEVEL: 'silent' }, argv: [] },
      stderr: { write: (text: string) => void happened.push(text) },
      exit: (code: number) => void happened.push(`exit ${code}`),
    });
    await live(process as unknown as NodeJS.Process, 'api', async () => {
      throw new ScorelineError('model_not_found', 'There is no model "a".');
    });
    expect(happened).toEqual(['There is no model "a".\n', 'exit 1']);
  });

  test('logs the warnings of Node itself', async () => {
    const warning: [string, Error] = ['warning', new Error('deprecated')];
    expect(await endBy('SIGTERM', [], warning)).toEqual(['leave', 'close', 'exit 0']);
  });

  test('ends without delay after an unexpected error', async () => {
    expect(await endBy('uncaughtException', [new Error('broken')])).toEqual(['close', 'exit 1']);
  });
});
