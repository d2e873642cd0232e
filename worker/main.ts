import process from 'node:process';
import { live } from '../shared/lifecycle.js';
import { startWorker } from './start.js';

await live(process, 'worker', startWorker);
