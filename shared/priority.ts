// The priorities of inputs. While inputs of both wait for a model, a worker takes those of interactive requests
// first, and one batch of bulk after several of theirs (worker/batch/turns.ts).

export const priorities = ['interactive', 'bulk'] as const;

/** `interactive`: somebody waits for the answer. `bulk`: it is needed some time. */
export type Priority = (typeof priorities)[number];
