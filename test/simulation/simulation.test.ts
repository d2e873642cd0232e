// Runs all code that decides about requests, from admission to reply, while fast-check chooses the order
// of events and the simulation moves the clock. Admission, scoring, dispatcher, replies, reply stream,
// consumer, batcher and quarantine are real. Redis, network, engine and clients are models.
//
// A failure prints its seed and path. To repeat it, or to search for longer:
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
  'in every order of events, each request ends once, with its own answer or a valid error',
  async () => {
    stopClock();
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), scenario, async (scheduler, scenario) => {
        expect(await simulate(scheduler, scenario)).toEqual([]);
      }),
      {
        numRuns: Number(SIMULATION_RUNS ?? 2000),
        ...(SIMULATION_SEED && { seed: Number(SIMULATION_SEED) }),
        ...(SIMULATION_PATH && { path: SIMULATION_PATH }),
      },
    );
  },
  24 * 3_600_000,
);
