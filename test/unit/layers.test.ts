// Tests the repository's rules about dependencies that the linter cannot express. The rules about layers,
// and about which file may import which library, are in biome.json.

import { describe, expect, test } from 'vitest';
import { importsOf, readSources, type Source } from './sources.js';

const sources = readSources(
  'api',
  'worker',
  'client',
  'shared',
  'cli',
  'k8s',
  'monitoring',
  'images',
  'bench',
  'chaos',
  'fuzz',
  'conformance',
  'simulate',
  'top',
  'site',
  'test',
);
/** A file whose texts are programs for other people, which this one does not run. */
const writesCode = ({ file }: Source) => file === 'api/playground/page/snippets.ts';
const inFolder =
  (folder: string) =>
  ({ file }: Source) =>
    file.startsWith(`${folder}/`);

describe('imports', () => {
  test('are found in every syntax', () => {
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

  test('of heavy libraries use the package name, which the linter checks', () => {
    const inner = /^(@grpc\/grpc-js|bullmq|express|onnxruntime-node|protobufjs|sharp)\//;
    const importers = sources.filter((source) =>
      importsOf(source).some((name) => inner.test(name)),
    );
    expect(importers.map(({ file }) => file)).toEqual([]);
  });

  test.each(['api', 'worker', 'client', 'shared', 'k8s'])(
    'in %s are not written inside types, where the linter does not look',
    (folder) => {
      const hidden = sources
        .filter(inFolder(folder))
        .filter((source) => !writesCode(source))
        .filter(({ text }) => /(?<!await )\bimport\(/.test(text));
      expect(hidden.map(({ file }) => file)).toEqual([]);
    },
  );
});

test('libraries that few services need are loaded only when they are asked for', () => {
  const isForFew = (name: string) =>
    /^(@(opentelemetry|azure|grpc|bull-board|napi-rs)\/|(jose|sharp|protobufjs)$)/.test(name);
  const byFile = new Map(sources.map((source) => [source.file.replace(/\.ts$/, '.js'), source]));
  /** What a file imports as soon as it is loaded. */
  const importsAtOnce = (source: Source) =>
    importsOf({
      ...source,
      text: source.text
        .replaceAll(/import\(/g, 'later(')
        .replaceAll(/^(import|export) type [^;]*;/gm, ''),
    });
  for (const role of ['api', 'worker']) {
    const reached = new Set([`${role}/main.js`, `${role}/start.js`]);
    for (const file of reached) {
      const source = byFile.get(file);
      if (!source) continue;
      const imports = importsAtOnce(source);
      expect(imports.filter(isForFew), file).toEqual([]);
      for (const name of imports) if (byFile.has(name)) reached.add(name);
    }
    expect(reached.size).toBeGreaterThan(50);
  }
});

describe('the process', () => {
  /** Matches code that reads the environment, listens to signals, or exits. */
  const touchesProcess = ({ text }: Source) =>
    /\bprocess\s*\.\s*(env|on|once|addListener|exit|exitCode|abort|kill)\b/.test(text);
  const mayTouch = (source: Source) =>
    /^\w+\/main\.ts$/.test(source.file) ||
    /^shared\/process\/(lifecycle|parent)\.ts$/.test(source.file) ||
    writesCode(source);

  test('is found in a file that is known to use it', () => {
    const touching = sources.filter(touchesProcess).map(({ file }) => file);
    expect(touching).toEqual(
      expect.arrayContaining(['shared/process/lifecycle.ts', 'cli/start.ts']),
    );
  });

  test.each(['api', 'shared', 'k8s', 'monitoring'])(
    'is used in %s only by main.ts and the lifecycle',
    (folder) => {
      const touching = sources.filter(
        (source) => inFolder(folder)(source) && touchesProcess(source) && !mayTouch(source),
      );
      expect(touching.map(({ file }) => file)).toEqual([]);
    },
  );
});

describe('files of the worker', () => {
  const files = sources.filter(({ file }) => file.startsWith('worker/'));

  test('import each other in one direction only', () => {
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
