// `npm run image -- report IMAGE …` says what is in an image. The Dockerfile uses the others:
// `assemble ROLE INSTALLED TARGET`, `bake ROLE MODELS TARGET` and `environments MODELS_DIR`.

import path from 'node:path';
import process from 'node:process';
import { assemble, type ImageRole, imageRoles } from '../images/assemble.js';
import { bake, makeEnvironments } from '../images/bake.js';
import { formatContents, measureImage } from '../images/report.js';
import { packageDirectory } from '../shared/version.js';
import { runCommand } from './command.js';
import { misused } from './faults.js';

const usage = `Usage: npm run image -- report IMAGE …
       node dist/cli/image.js assemble ROLE INSTALLED TARGET
       node dist/cli/image.js bake ROLE NAME,NAME,… TARGET
       node dist/cli/image.js environments MODELS_DIR
ROLE is one of ${imageRoles.join(', ')}.`;

await runCommand(usage, async () => {
  const [command, ...parameters] = process.argv.slice(2);
  const [role, second, target] = parameters;
  const count = parameters.length;
  if (command === 'report' && count > 0) {
    for (const image of parameters) {
      process.stdout.write(`${formatContents(image, await measureImage(image))}\n`);
    }
  } else if (
    command === 'assemble' &&
    second !== undefined &&
    target !== undefined &&
    count === 3
  ) {
    assemble({ role: toRole(role), built: packageDirectory(), installed: second, target });
  } else if (command === 'bake' && second !== undefined && target !== undefined && count === 3) {
    await bake({
      role: toRole(role),
      directory: path.join(packageDirectory(), 'models'),
      names: second.split(',').filter((name) => name !== ''),
      target,
      cache: path.join(packageDirectory(), 'data', 'cache'),
    });
  } else if (command === 'environments' && role !== undefined && count === 1) {
    await makeEnvironments(role);
  } else throw misused(process.argv.slice(2), usage);
});

function toRole(text: string | undefined): ImageRole {
  const role = imageRoles.find((candidate) => candidate === text);
  if (role) return role;
  throw new Error(usage);
}
