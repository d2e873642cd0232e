// Joins what a process loads at its start into few files, in a folder for each build below dist/bundle. Node takes more
// than twice as long for the hundreds of files of Scoreline and its packages.

import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { build, type Plugin } from 'rolldown';
import { bundleOf, bundles } from '../../shared/process/programs.js';
import { packageDirectory } from '../../shared/version.js';

const root = packageDirectory();
const dist = path.join(root, 'dist');
const target = bundleOf(root);
/** A service that runs starts its workers and trials from the build that it began with, also after several builds. */
const keptMax = 10;

/**
 * Packages that stay as they are: native ones and what stands before them, those that read files beside them or choose
 * modules while they run, and those that few processes load.
 */
const apart =
  /^(?:@azure|@opentelemetry|@bull-board|@grpc|@napi-rs|@img|protobufjs|@protobufjs|msgpackr|onnxruntime-\w+|sharp|tokenizers)(?:\/|$)/;

/** Has each package that stays apart be the one that its importer would load. */
const leaveApart: Plugin = {
  name: 'leave-apart',
  resolveId: {
    filter: { id: apart },
    handler(id, importer = root) {
      const from = (file: string) => createRequire(file).resolve(id);
      const [wanted, found] = [from(importer), from(path.join(target, 'any.js'))];
      if (wanted === found) return { id, external: true };
      throw new Error(`${importer} imports ${wanted}; in a bundle it would get ${found}.`);
    },
  },
};

/** Threads, processes and files that a module names by their place beside it. */
const nameFromBundle: Plugin = {
  name: 'name-from-bundle',
  transform: {
    filter: { code: 'import.meta.url' },
    handler(code, file) {
      if (!file.startsWith(dist)) return undefined;
      return code.replaceAll(
        /new URL\('(\.[^']+)', import\.meta\.url\)/g,
        (_, place: string) =>
          `new URL('${placeInBundle(path.join(file, '..', place))}', import.meta.url)`,
      );
    },
  },
};

function placeInBundle(file: string): string {
  const known = Object.entries(bundles).find(([, entry]) => path.join(dist, entry) === file);
  return known ? `./${known[0]}.js` : path.relative(target, file);
}

// What is there is whole, and the program of processes that run.
if (!existsSync(target)) await join();
for (const folder of foldersIn(path.dirname(target)).slice(keptMax))
  rmSync(folder, { recursive: true });

async function join(): Promise<void> {
  const part = `${target}.part-${process.pid}`;
  await build({
    input: Object.fromEntries(
      Object.entries(bundles).map(([name, entry]) => [name, path.join(dist, entry)]),
    ),
    platform: 'node',
    plugins: [leaveApart, nameFromBundle],
    output: {
      dir: part,
      format: 'esm',
      entryFileNames: '[name].js',
      chunkFileNames: '[name]-[hash].js',
    },
  });
  try {
    renameSync(part, target);
  } catch (thrown) {
    rmSync(part, { recursive: true });
    // Another build may have been faster.
    if (!existsSync(target)) throw thrown;
  }
}

/** Lists folders, the latest first. */
function foldersIn(folder: string): string[] {
  const made = (each: string) => statSync(each).mtimeMs;
  const folders = readdirSync(folder).map((name) => path.join(folder, name));
  return folders.toSorted((a, b) => made(b) - made(a));
}
