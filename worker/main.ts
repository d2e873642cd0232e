import process from 'node:process';
import { live } from '../shared/process/lifecycle.js';

await live(process, 'worker', async (...given) =>
  (await import('./start.js')).startWorker(...given),
);
