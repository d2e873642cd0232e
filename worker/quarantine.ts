// The quarantine. A job that was started before and did not finish may hold an item that takes its
// worker down. Such items are scored here, one at a time, in a process of their own: what dies is
// that process, and it is certain which item it was. Its neighbours are answered, the worker and
// its other batches go on.
//
// An item has been tried once in its batch; after two more tries that end with the process it fails
// with `model_crashed`. The process is started when it is first needed and ends when it was not
// needed for a while, since it holds a second copy of the model.

import { type ChildProcess, fork } from 'node:child_process';
import type { Logger } from '../shared/log.js';
import type { Model } from '../shared/models.js';
import type { Scored, ScorerItem } from './scorer.js';

const triesMax = 2;
const idleMs = 30_000;

export interface Quarantine {
  /** Scores one item. Never rejects. */
  score(item: ScorerItem): Promise<Scored>;
  close(): void;
}

export type ToQuarantine = ScorerItem;
export type FromQuarantine =
  | { readonly event: 'ready' }
  | { readonly event: 'scored'; readonly scored: Scored };

export function makeQuarantine(options: { model: Model; log: Logger }): Quarantine {
  const { model, log } = options;
  let cell: Promise<ChildProcess> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let idle: NodeJS.Timeout | undefined;
  let closed = false;

  const openCell = () => {
    const child = fork(new URL('./quarantine-process.js', import.meta.url), [model.folder], {
      // Scores and pixels keep their types, and errors their codes.
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.once('exit', () => {
      cell = undefined;
    });
    return answerOf(child).then(() => child);
  };

  const tryOnce = async (item: ScorerItem): Promise<Scored> => {
    cell ??= openCell();
    const child = await cell;
    const hung = setTimeout(() => child.kill('SIGKILL'), model.manifest.runMsMax);
    try {
      const answer = answerOf(child);
      child.send(item satisfies ToQuarantine);
      const { scored } = (await answer) as Extract<FromQuarantine, { event: 'scored' }>;
      return scored;
    } finally {
      clearTimeout(hung);
    }
  };

  const score = async (item: ScorerItem): Promise<Scored> => {
    for (let attempt = 1; attempt <= triesMax && !closed; attempt++) {
      try {
        return await tryOnce(item);
      } catch (error) {
        log.error({ model: model.name, attempt, err: error }, 'an item has ended its process');
      }
    }
    return modelCrashed;
  };

  return {
    score(item) {
      clearTimeout(idle);
      const scored = last.then(() => score(item));
      last = scored.then(() => {
        idle = setTimeout(() => void endCell(), idleMs);
        idle.unref();
      });
      return scored;
    },
    close() {
      closed = true;
      clearTimeout(idle);
      void endCell();
    },
  };

  async function endCell(): Promise<void> {
    const child = await cell?.catch(() => undefined);
    child?.kill('SIGKILL');
  }
}

export const modelCrashed: Scored = {
  error: {
    code: 'model_crashed',
    detail:
      'This input has ended the process of the model each time it was tried. It is not tried again.',
  },
};

/** The next message of a child; rejects when it ends before that. */
function answerOf(child: ChildProcess): Promise<FromQuarantine> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null) => {
      child.off('message', onMessage);
      reject(new Error(`The process ended (${signal ?? code}).`));
    };
    const onMessage = (message: unknown) => {
      child.off('exit', onExit);
      resolve(message as FromQuarantine);
    };
    child.once('exit', onExit);
    child.once('message', onMessage);
  });
}
