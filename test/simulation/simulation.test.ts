// Everything that decides about requests, from admission to reply, under orders of events that
// fast-check chooses, on a clock that only the simulation moves: real admission, scoring,
// dispatcher, replies, reply stream, consumer, batcher and quarantine; modelled Redis, network,
// engine and clients.
//
// A failure prints its seed and path. To see it again, or to look for longer:
//   SIMULATION_SEED=1 SIMULATION_PATH=12:0:3 npm test -- simulation
//   SIMULATION_RUNS=100000 npm test -- simulation

import process from 'node:process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stopClock } from '../unit/clock.js';
import { scenario } from './scenario.js';
import { simulate } from './world.js';

const { SIMULATION_RUNS, SIMULATION_SEED, SIMULATION_PATH } = process.env;

test(
  'in every order of events, each request ends once, with its own answer or a good reason',
  async () => {
    stopClock();
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), scenario, async (scheduler, scenario) => {
        expect(await simulate(scheduler, scenario)).toEqual([]);
      }),
      {
        numRuns: Number(SIMULATION_RUNS ?? 5000),
        ...(SIMULATION_SEED && { seed: Number(SIMULATION_SEED) }),
        ...(SIMULATION_PATH && { path: SIMULATION_PATH }),
      },
    );
  },
  24 * 3_600_000,
);
