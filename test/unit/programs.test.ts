// Tests the bundles of this build. Whoever compiles without `npm run build` has none that is current.

import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { bundleOf, bundles, mainOf } from '../../shared/process/programs.js';
import { packageDirectory } from '../../shared/version.js';
import { makeFolder } from './sample-model.js';

const root = packageDirectory();
const folder = bundleOf(root);
const isBundled = existsSync(folder);

test('a role starts from its bundle until something is compiled or installed', () => {
  const made = makeFolder({ 'dist/.tsbuildinfo': '', 'node_modules/.package-lock.json': '' });
  const plain = path.join(made, 'dist/worker/main.js');
  expect(mainOf('worker', made)).toBe(plain);
  for (const note of ['dist/.tsbuildinfo', 'node_modules/.package-lock.json']) {
    const bundle = path.join(bundleOf(made), 'worker.js');
    mkdirSync(path.dirname(bundle), { recursive: true });
    writeFileSync(bundle, '');
    expect(mainOf('worker', made)).toBe(bundle);
    utimesSync(path.join(made, note), 1e9, 1e9);
    expect(mainOf('worker', made)).toBe(plain);
  }
});

describe.skipIf(!isBundled)('a bundle (needs npm run build)', () => {
  test.each(Object.keys(bundles))('of %s loads nothing of its packages one by one', (name) => {
    const loaded = loadedAtOnce(`${name}.js`);
    const packages = loaded.filter((each) => !each.startsWith('.'));
    if (name === 'api' || name === 'worker') expect(packages).toContain('msgpackr');
    // What has to stay a file of its own: BullMQ's codec, and the native library where a thread is for it.
    const isOfRuntime = ['engine-thread', 'optimize-thread'].includes(name);
    const apart = isOfRuntime ? ['onnxruntime-node'] : ['msgpackr'];
    expect(apart).toEqual(expect.arrayContaining(packages));
  });

  test('names threads and processes beside it, and other files where they are', () => {
    const urls = Object.keys(bundles).flatMap((name) =>
      partsOf(`${name}.js`).flatMap((part) =>
        [...read(part).matchAll(/new URL\("(\.[^"]+)", import\.meta\.url\)/g)].map(([, to]) => to),
      ),
    );
    expect(new Set(urls)).toEqual(
      new Set([
        ...[
          './description-thread.js',
          './engine-thread.js',
          './optimize-thread.js',
          './quarantine.js',
        ],
        ...['../../api/playground/page.html', '../../api/playground/samples'],
      ]),
    );
    for (const to of urls) expect(existsSync(path.join(folder, to as string))).toBe(true);
  });
});

function read(part: string): string {
  return readFileSync(path.join(folder, part), 'utf8');
}

/** The files of a bundle, also those that are loaded later. */
function partsOf(entry: string): string[] {
  const parts = new Set([entry]);
  for (const part of parts) {
    for (const [, next] of read(part).matchAll(/(?:\bfrom |\bimport\()"\.\/([\w-]+\.js)"/g)) {
      if (existsSync(path.join(folder, next as string))) parts.add(next as string);
    }
  }
  return [...parts];
}

/** What a bundle imports when it starts, but for Node's own modules. */
function loadedAtOnce(entry: string): string[] {
  const first = [...read(entry).matchAll(/\bimport\("([^"]+)"\)/g)].map(([, next]) => `${next}`);
  const names = new Set([`./${entry}`, ...first]);
  for (const name of names) {
    if (!name.startsWith('.')) continue;
    const imports = read(name.slice(2)).matchAll(/^import (?:[^"]* from )?"([^"]+)";$/gm);
    for (const [, next] of imports) if (!isBuiltin(next as string)) names.add(next as string);
  }
  return [...names];
}
