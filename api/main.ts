import process from 'node:process';
import { live } from '../shared/process/lifecycle.js';

await live(process, 'api', async (...given) => (await import('./start.js')).startApi(...given));
