import process from 'node:process';
import { optimiseEarly } from '../shared/early-optimisation.js';
import { live } from '../shared/lifecycle.js';

await live(process, 'api', async (...given) => {
  const running = await (await import('./start.js')).startApi(...given);
  // Not before, because it made the start a quarter longer.
  optimiseEarly();
  return running;
});
