// The packages of an image: those that the program imports, with all that they depend on, each
// without what it does not need there.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** What a package has that an image does not need, and why. Paths are relative to the package. */
interface Trim {
  /** Dependencies that only its install script or the compiler uses. */
  readonly dependencies: readonly string[];
  readonly drops: (file: string) => boolean;
}

const trims: Readonly<Record<string, Trim>> = {
  // It carries the libraries of every platform, and a script that downloads more of them.
  'onnxruntime-node': {
    dependencies: ['adm-zip', 'global-agent'],
    drops: (file) =>
      file.startsWith(`script${path.sep}`) ||
      (file.startsWith(`bin${path.sep}`) &&
        !file.startsWith(path.join('bin', 'napi-v6', process.platform, process.arch))),
  },
  // It carries the library of every platform.
  tokenizers: {
    dependencies: [],
    drops: (file) =>
      file.endsWith('.node') &&
      (!file.startsWith(`tokenizers.${process.platform}-${process.arch}`) ||
        file.endsWith('-musl.node')),
  },
  // It comes with prom-client. Its tests have 2 MB of samples.
  bintrees: { dependencies: [], drops: (file) => file.startsWith(`test${path.sep}`) },
};

/** Builds for browsers, phones and bundlers, which these publishers put beside the one that Node.js loads. */
const otherBuilds: readonly (readonly [publisher: RegExp, builds: RegExp])[] = [
  [/^@opentelemetry\//, /^build\/(esm|esnext)\//],
  [/^@(azure|azure-rest|typespec)\//, /^dist\/(browser|react-native|workerd)\//],
];

interface PackageFile {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/**
 * Returns the folders of packages and of everything they depend on, relative to `root`, which holds
 * `node_modules`. Throws if one that is needed is not installed there.
 */
export function withDependencies(root: string, names: readonly string[]): string[] {
  const folders = new Set<string>();
  const add = (name: string, from: string, isNeeded: boolean) => {
    const folder = resolve(root, name, from);
    if (folder !== undefined) folders.add(folder);
    else if (isNeeded) {
      throw new Error(
        `${from || 'Scoreline'}: expected the package ${name} in ${root}; it is not there. Is it among the production dependencies of package.json?`,
      );
    }
  };
  for (const name of names) add(name, '', true);
  for (const folder of folders) {
    const text = readFileSync(path.join(root, folder, 'package.json'), 'utf8');
    for (const { name, isNeeded } of dependenciesOf(JSON.parse(text) as PackageFile)) {
      // Only the compiler reads types.
      if (name.startsWith('@types/')) continue;
      if (!trims[nameOf(folder)]?.dependencies.includes(name)) add(name, folder, isNeeded);
    }
  }
  return [...folders].sort();
}

/** Whether an image needs a file of a package. `file` is relative to the package's folder. */
export function isNeededFile(folder: string, file: string): boolean {
  if (
    /\.(map|md|markdown|[cm]?ts|flow)$/i.test(file) &&
    !/^licen[cs]e/i.test(path.basename(file))
  ) {
    return false;
  }
  const name = nameOf(folder);
  const unix = file.replaceAll(path.sep, '/');
  if (otherBuilds.some(([publisher, builds]) => publisher.test(name) && builds.test(unix))) {
    return false;
  }
  return !trims[name]?.drops(file);
}

/** Looks for a package as Node does: in the `node_modules` next to the importer, then further up. */
function resolve(root: string, name: string, from: string): string | undefined {
  for (let folder = from; ; folder = path.dirname(folder)) {
    if (path.basename(folder) !== 'node_modules') {
      const candidate = path.join(folder, 'node_modules', name);
      if (existsSync(path.join(root, candidate, 'package.json'))) return candidate;
    }
    if (folder === '' || folder === '.') return undefined;
  }
}

/** Optional ones may be missing: most are for other platforms. */
function dependenciesOf(file: PackageFile): { name: string; isNeeded: boolean }[] {
  const optional = new Set(Object.keys(file.optionalDependencies ?? {}));
  const peers = Object.keys(file.peerDependencies ?? {}).map((name) => ({
    name,
    isNeeded: file.peerDependenciesMeta?.[name]?.optional !== true,
  }));
  const own = Object.keys(file.dependencies ?? {}).map((name) => ({
    name,
    isNeeded: !optional.has(name),
  }));
  return [...own, ...peers, ...[...optional].map((name) => ({ name, isNeeded: false }))];
}

function nameOf(folder: string): string {
  return folder.slice(folder.lastIndexOf('node_modules') + 'node_modules/'.length);
}
