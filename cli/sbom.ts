// `npm run --silent sbom > sbom.json`: a CycloneDX list of the packages that run in production, by npm, from
// package-lock.json alone.
//
// `npm sbom --omit=dev` leaves out what development needs as well, such as jose and zod. So npm gets a
// copy of the lock file in which nothing is for development only.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { makeTemporary } from './temporary.js';

interface LockFile {
  readonly packages: Readonly<Record<string, { dev?: boolean; devDependencies?: unknown }>>;
}

const read = (name: string) =>
  JSON.parse(readFileSync(path.join(packageDirectory(), name), 'utf8'));

const usage = `Usage: npm run sbom

Prints a CycloneDX list of all packages that run in production.`;

await runCommand(usage, () => {
  parseArguments({ options: {} });
  const { devDependencies: _, ...manifest } = read('package.json');
  // npm names the list by its folder.
  const folder = path.join(makeTemporary('sbom'), manifest.name);
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  const lockFile = withoutDevelopment(read('package-lock.json'));
  writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify(lockFile));
  const { status } = spawnSync(
    'npm',
    ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'],
    { cwd: folder, stdio: 'inherit' },
  );
  process.exitCode = status ?? 1;
});

function withoutDevelopment(lockFile: LockFile): LockFile {
  const packages = Object.entries(lockFile.packages)
    .filter(([, { dev }]) => !dev)
    .map(([place, { devDependencies: _, ...rest }]) => [place, rest]);
  return { ...lockFile, packages: Object.fromEntries(packages) };
}
