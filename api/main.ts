import process from 'node:process';
import { live } from '../shared/lifecycle.js';
import { startApi } from './start.js';

await live(process, 'api', startApi);
