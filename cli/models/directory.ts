import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../../shared/version.js';

/** The folder of models of the commands, as the service has it: an empty setting is none. */
export const modelsDirectory = process.env.MODELS_DIR || path.join(packageDirectory(), 'models');
