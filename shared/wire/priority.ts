// The priorities of inputs. While inputs of both wait for a model, a worker takes those of interactive requests
// first, and one batch of bulk after several of theirs (worker/batch/turns.ts).

export const priorities = ['interactive', 'bulk'] as const;

/** `interactive`: somebody waits for the answer. `bulk`: it is needed some time. */
export type Priority = (typeof priorities)[number];

/**
 * Returns the name of the BullMQ queue for a model's jobs of a priority. So a worker takes jobs of both, however
 * many of one there are. All other keys of a model's queue are for both.
 */
export function jobQueueOf(queue: string, priority: Priority): string {
  return priority === 'bulk' ? `${queue}~bulk` : queue;
}
