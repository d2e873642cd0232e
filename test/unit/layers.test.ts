// The repository's own rules about who may use what.

import { describe, expect, test } from 'vitest';
import { importsOf, readSources, type Source } from './sources.js';

const ours = ['api', 'worker', 'shared', 'cli', 'bench', 'test', 'models', 'k8s'];
const sources = readSources('api', 'worker', 'shared', 'cli', 'bench', 'test');

/** `api/queue.ts → worker/batcher.js` for each import from one folder of ours into the others. */
function importsFrom(folder: string, into: readonly string[]): string[] {
  const from = sources.filter(({ file }) => file.startsWith(`${folder}/`));
  expect(from.length).toBeGreaterThan(5);
  return from.flatMap((source) =>
    importsOf(source)
      .filter((name) => into.some((other) => name.startsWith(`${other}/`)))
      .map((name) => `${source.file} → ${name}`),
  );
}

/** The files that import a library, or a part of it. */
function importersOf(library: string): string[] {
  return sources
    .filter((source) =>
      importsOf(source).some((name) => name === library || name.startsWith(`${library}/`)),
    )
    .map(({ file }) => file)
    .toSorted();
}

describe('the reader of imports', () => {
  test('finds every way to import', () => {
    const text = [
      "import a from 'a';",
      "import type { B } from './b.js';",
      'import {\n  c,\n  d,\n} from "../c.js";',
      "export { e } from './e/e.js';",
      "import 'f';",
      "const g = await import('./g.js');",
      "type H = import('h').H;",
    ].join('\n');
    expect(importsOf({ file: 'api/kinds/x.ts', text }).toSorted()).toEqual(
      [
        'a',
        'api/kinds/b.js',
        'api/c.js',
        'api/kinds/e/e.js',
        'f',
        'api/kinds/g.js',
        'h',
      ].toSorted(),
    );
  });

  test('finds the imports that are known to be there', () => {
    expect(importsFrom('api', ['shared'])).toContain('api/queue/queue.ts → shared/keys.js');
    expect(importsFrom('worker', ['shared'])).toContain('worker/batch/rank.ts → shared/errors.js');
  });
});

describe('layers', () => {
  test('shared imports nothing of ours from outside shared', () => {
    expect(
      importsFrom(
        'shared',
        ours.filter((folder) => folder !== 'shared'),
      ),
    ).toEqual([]);
  });

  test('api imports nothing of ours but itself and shared', () => {
    const others = ours.filter((folder) => folder !== 'api' && folder !== 'shared');
    expect(importsFrom('api', others)).toEqual([]);
  });

  test('worker imports nothing of ours but itself and shared', () => {
    const others = ours.filter((folder) => folder !== 'worker' && folder !== 'shared');
    expect(importsFrom('worker', others)).toEqual([]);
  });
});

describe('each heavy library has its doors', () => {
  const outside = (folders: string[]) => (file: string) =>
    !folders.some((folder) => file.startsWith(folder));

  test('bullmq: the queue, seen from either side', () => {
    expect(importersOf('bullmq').filter(outside(['test/']))).toEqual([
      'api/queue/queue.ts',
      'worker/queue/bullmq.ts',
    ]);
  });

  test('onnxruntime-node: the engine thread, and the measurements', () => {
    expect(importersOf('onnxruntime-node').filter(outside(['bench/', 'test/']))).toEqual([
      'worker/engine/engine-thread.ts',
    ]);
  });

  test('sharp: the preparation of images, the benchmarks and the tests', () => {
    expect(importersOf('sharp').filter(outside(['bench/', 'test/']))).toEqual([
      'api/kinds/image.ts',
    ]);
  });
});

describe('the process', () => {
  /** Reads the environment, listens to signals, or exits. */
  const touchesProcess = ({ text }: Source) =>
    /\bprocess\s*\.\s*(env|on|once|addListener|exit|exitCode|abort|kill)\b/.test(text);
  const mayTouch = ({ file }: Source) =>
    /^\w+\/main\.ts$/.test(file) || file === 'shared/lifecycle.ts';

  test('is touched where it is known to be', () => {
    const touching = sources.filter(touchesProcess).map(({ file }) => file);
    expect(touching).toEqual(expect.arrayContaining(['shared/lifecycle.ts', 'cli/start.ts']));
  });

  test.each(['api', 'shared'])(
    'is left alone in %s, but for main.ts and the lifecycle',
    (folder) => {
      const touching = sources.filter(
        (source) =>
          source.file.startsWith(`${folder}/`) && touchesProcess(source) && !mayTouch(source),
      );
      expect(touching.map(({ file }) => file)).toEqual([]);
    },
  );
});

describe('files of the worker', () => {
  const files = sources.filter(({ file }) => file.startsWith('worker/'));

  test('import each other in one direction', () => {
    const imports = new Map(
      files.map((source) => [
        source.file.replace(/\.ts$/, '.js'),
        importsOf(source).filter((name) => name.startsWith('worker/')),
      ]),
    );
    const circles: string[] = [];
    const visit = (file: string, way: readonly string[]) => {
      if (way.includes(file)) circles.push([...way, file].join(' → '));
      else for (const next of imports.get(file) ?? []) visit(next, [...way, file]);
    };
    for (const file of imports.keys()) visit(file, []);
    expect(circles).toEqual([]);
  });
});
