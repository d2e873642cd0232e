// `npm run keys` without npm, and keys that it makes.

import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { ask, root, waitUntil } from './harness.js';

/** @param environment what the command gets beside this process's own: where Redis is, and how it is reached */
export async function runKeys(
  environment: NodeJS.ProcessEnv,
  ...parameters: string[]
): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, ...environment };
  const command = path.join(root, 'dist/cli/keys.js');
  return await promisify(execFile)(process.execPath, [command, ...parameters], { env });
}

/**
 * Makes a key, and waits until these APIs know it: on a busy machine they may need longer than the command.
 * @param parameters the name of the key, and options
 */
export async function createKey(
  urls: readonly string[],
  environment: NodeJS.ProcessEnv,
  ...parameters: string[]
): Promise<string> {
  const { stdout: key } = await runKeys(environment, 'create', ...parameters);
  await waitUntil('the key is known', async () => {
    const statuses = await Promise.all(urls.map((url) => listStatus(url, key)));
    return statuses.every((status) => status !== 401);
  });
  return key;
}

/** Resolves to the status that a caller with this key gets for the list of models. */
export async function listStatus(url: string, key: string): Promise<number> {
  return (await ask(`${url}/v1/models`, { headers: { 'X-API-Key': key } })).status;
}
