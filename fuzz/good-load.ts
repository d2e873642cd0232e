// The good requests of a run, with the exact answers and the judge of the chaos run.

import type { Catalogue } from '../chaos/catalogue.js';
import type { Address } from '../chaos/client.js';
import { makeJudge } from '../chaos/judge.js';
import { makeLoad } from '../chaos/load.js';
import { makeTally } from '../chaos/tally.js';
import type { Input } from '../chaos/target.js';
import { makeTimeline } from '../chaos/timeline.js';

export interface GoodLoad {
  start(clients: number): void;
  /** Ends the load, and asks each model once more. */
  close(): Promise<void>;
  /** How many were sent, and how many of them got the right answer, once. */
  summarize(): { readonly good: number; readonly right: number };
}

export function makeGoodLoad(options: {
  catalogue: Catalogue;
  address: Address;
  seed: number;
  say: (line: string) => void;
}): GoodLoad {
  const { catalogue, address, seed, say } = options;
  const { models } = catalogue;
  const now = () => performance.now();
  const timeline = makeTimeline(models, now);
  const tally = makeTally({ models, timeline, say, now });
  const judge = makeJudge(timeline, catalogue.formOf);
  const load = makeLoad({ target: { ...catalogue, address }, judge, tally, seed, now });
  return {
    start: (clients: number) => load.start(clients),
    close: async () => {
      await load.close();
      for (const model of models) {
        const client = load.openClient();
        await load.send(client, catalogue.inputsOf(model)[0] as Input, false);
        client.close();
      }
    },
    summarize: () => {
      const { sent, right, answered_twice } = tally.summarize({ seed, seconds: 0 });
      return { good: sent, right: right - answered_twice };
    },
  };
}
