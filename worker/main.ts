import process from 'node:process';
import { optimiseEarly } from '../shared/early-optimisation.js';
import { live } from '../shared/lifecycle.js';

optimiseEarly();
await live(process, 'worker', async (...given) =>
  (await import('./start.js')).startWorker(...given),
);
