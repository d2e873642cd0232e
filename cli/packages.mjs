// Whether the installed npm packages are those of package-lock.json. This file is plain JavaScript,
// because nothing may be installed yet.

import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

/** Returns whether the packages in `node_modules` of this folder are the ones it needs. */
export function areCurrent(root) {
  const needed = path.join(root, 'package-lock.json');
  // npm writes down what it has installed.
  const installed = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installed)) return false;
  if (!existsSync(needed) || statSync(needed).mtimeMs <= statSync(installed).mtimeMs) return true;
  // Git writes the file anew when it changes branches, mostly with the same packages.
  return isInstalled(readPackages(needed), readPackages(installed));
}

function isInstalled(needed, installed) {
  return Object.entries(needed).every(([name, { version, integrity, optional, devOptional }]) => {
    const found = name === '' ? needed[name] : installed[name];
    // Packages for other platforms are left out.
    if (!found) return optional === true || devOptional === true;
    return found.version === version && found.integrity === integrity;
  });
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}
