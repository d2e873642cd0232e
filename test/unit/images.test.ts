import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { assemble } from '../../images/assemble.js';
import { bake } from '../../images/bake.js';
import { isNeededFile, withDependencies } from '../../images/packages.js';
import { reach, specifiersIn } from '../../images/reach.js';
import { packageDirectory } from '../../shared/version.js';
import { makeFolder, sampleLabels, sampleManifest } from './sample-model.js';

const root = packageDirectory();
const reachOf = (role: string) => {
  const { files, packages } = reach([path.join(root, 'dist', role, 'main.js')]);
  return { files: files.map((file) => path.relative(path.join(root, 'dist'), file)), packages };
};

describe('what a program reaches', () => {
  test('includes threads and processes that it starts by URL', () => {
    const text = "new Worker(new URL('./thread.js', import.meta.url)); new URL('./x.json', here);";
    expect(specifiersIn(text)).toEqual(['./thread.js']);
  });

  test('is for the API neither the worker nor what scores', () => {
    const { files, packages } = reachOf('api');
    expect(files.filter((file) => !/^(api|shared)\//.test(file))).toEqual([]);
    expect(packages).toEqual(expect.arrayContaining(['express', 'sharp', 'bullmq']));
    expect(packages).not.toContain('onnxruntime-node');
  });

  test('is for the worker neither the API nor what reads requests', () => {
    const { files, packages } = reachOf('worker');
    expect(files.filter((file) => !/^(worker|shared)\//.test(file))).toEqual([]);
    expect(files).toContain('worker/engine/engine-thread.js');
    expect(files).toContain('worker/quarantine/main.js');
    expect(packages).toEqual(expect.arrayContaining(['onnxruntime-node', 'bullmq']));
    for (const name of ['express', 'sharp', '@fastify/busboy'])
      expect(packages).not.toContain(name);
  });

  test('must exist', () => {
    const folder = makeFolder({ 'main.js': "import './gone.js';" });
    expect(() => reach([path.join(folder, 'main.js')])).toThrow(/main\.js: expected .*gone\.js/);
  });
});

describe('the packages of an image', () => {
  const packageFile = (dependencies: object, others: object = {}) => ({ dependencies, ...others });

  test('come with what they depend on, from where Node would take it', () => {
    const folder = makeFolder({
      'node_modules/a/package.json': packageFile({ b: '2', '@scope/c': '1' }),
      'node_modules/a/node_modules/b/package.json': packageFile({ d: '1' }),
      'node_modules/b/package.json': packageFile({}),
      'node_modules/@scope/c/package.json': packageFile({}, { peerDependencies: { e: '1' } }),
      'node_modules/d/package.json': packageFile({ a: '1' }),
      'node_modules/e/package.json': packageFile({}),
      'node_modules/unused/package.json': packageFile({}),
    });
    expect(withDependencies(folder, ['a'])).toEqual([
      'node_modules/@scope/c',
      'node_modules/a',
      'node_modules/a/node_modules/b',
      'node_modules/d',
      'node_modules/e',
    ]);
  });

  test('may lack what is optional, such as the binaries of other platforms', () => {
    const others = {
      optionalDependencies: { here: '1', 'not-here': '1' },
      peerDependencies: { absent: '1' },
      peerDependenciesMeta: { absent: { optional: true } },
    };
    const folder = makeFolder({
      'node_modules/a/package.json': packageFile({ 'not-here': '1' }, others),
      'node_modules/here/package.json': packageFile({}),
    });
    expect(withDependencies(folder, ['a'])).toEqual(['node_modules/a', 'node_modules/here']);
  });

  test.each([
    ['a', 'Scoreline: expected the package a'],
    ['b', 'node_modules/b: expected the package c'],
  ])('must be there otherwise', (name, message) => {
    const folder = makeFolder({ 'node_modules/b/package.json': packageFile({ c: '1' }) });
    expect(() => withDependencies(folder, [name])).toThrow(message);
  });

  test('have their licences, and neither types, sources nor libraries of other platforms', () => {
    const isNeeded = (file: string) => isNeededFile('node_modules/onnxruntime-node', file);
    const { platform, arch } = process;
    expect(isNeeded('dist/index.js')).toBe(true);
    expect(isNeeded(`bin/napi-v6/${platform}/${arch}/onnxruntime_binding.node`)).toBe(true);
    expect(isNeeded('bin/napi-v6/win32/x64/DirectML.dll')).toBe(false);
    expect(isNeeded('script/install.js')).toBe(false);
    const isNeededTokenizer = (file: string) => isNeededFile('node_modules/tokenizers', file);
    expect(isNeededTokenizer('index.js')).toBe(true);
    expect(isNeededTokenizer('tokenizers.win32-x64-msvc.node')).toBe(false);
    expect(isNeededTokenizer(`tokenizers.${platform}-${arch}-musl.node`)).toBe(false);
    expect(isNeededTokenizer(`tokenizers.${platform}-${arch}-gnu.node`)).toBe(true);
    expect(isNeededFile('node_modules/x', 'script/install.js')).toBe(true);
    for (const file of ['LICENSE', 'LICENSE.md', 'licence.md', 'package.json', 'lib/a.cjs']) {
      expect(isNeededFile('node_modules/x', file), file).toBe(true);
    }
    for (const file of ['README.md', 'a.js.map', 'a.d.ts', 'a.d.cts', 'src/a.ts']) {
      expect(isNeededFile('node_modules/x', file), file).toBe(false);
    }
  });
});

test('an image has no packages but those that its program reaches', () => {
  const target = makeFolder({});
  assemble({ role: 'api', built: root, installed: root, target });
  const packages = readdirSync(path.join(target, 'node_modules'));
  expect(packages).toEqual(expect.arrayContaining(['@img', 'express', 'ioredis', 'sharp']));
  for (const name of ['onnxruntime-node', 'typescript', 'vitest', '@types']) {
    expect(packages).not.toContain(name);
  }
  expect(readdirSync(target).toSorted()).toEqual(
    ['LICENSE', 'NOTICE', 'dist', 'node_modules', 'package.json'].toSorted(),
  );
});

describe('models baked into an image', () => {
  /** A field of an ONNX file, and one with another value. */
  const [network, otherNetwork] = ['\x12\x02ab', '\x12\x02ac'];
  const files = {
    'sample/model.yaml': {
      ...sampleManifest,
      source: { ...sampleManifest.source, sha256: sha256Of(network) },
      output: { kind: 'classification', labels: '../labels.txt' },
    },
    'sample/model.onnx': network,
    'sample/README.md': 'Not for serving.',
    'labels.txt': sampleLabels,
  };
  const bakeFor = async (role: 'api' | 'worker', directory: string, names = ['sample']) => {
    const target = makeFolder({});
    await bake({ role, directory, names, target, cache: makeFolder({}) });
    return readdirSync(target, { recursive: true, encoding: 'utf8' }).toSorted();
  };

  test('are manifest, labels and network for a worker, and no network for an API', async () => {
    const common = ['labels.txt', 'sample', 'sample/model.yaml'];
    expect(await bakeFor('worker', makeFolder(files))).toEqual(
      [...common, 'sample/model.onnx'].toSorted(),
    );
    expect(await bakeFor('api', makeFolder(files))).toEqual(common);
  });

  test('can be read by the user of the image, whatever the umask was', async () => {
    const directory = makeFolder(files);
    chmodSync(path.join(directory, 'sample/model.yaml'), 0o600);
    const target = path.join(makeFolder({}), 'models');
    const names = ['sample'];
    await bake({ role: 'worker', directory, names, target, cache: makeFolder({}) });
    for (const name of readdirSync(target, { recursive: true, encoding: 'utf8' })) {
      expect(statSync(path.join(target, name)).mode & 0o004, name).toBe(0o004);
    }
  });

  test('are none if none is named', async () => {
    expect(await bakeFor('worker', '/nowhere', [])).toEqual([]);
  });

  test('are refused if their network is another one than the manifest names', async () => {
    const folder = makeFolder({ ...files, 'sample/model.onnx': otherNetwork });
    await expect(bakeFor('worker', folder)).rejects.toMatchObject({ code: 'model_file_wrong' });
  });

  test('are refused if there are none of that name', async () => {
    const folder = makeFolder(files);
    await expect(bakeFor('api', folder, ['simple'])).rejects.toMatchObject({
      code: 'model_not_found',
    });
  });
});

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

test('what the Dockerfile copies from the checkout is let through by .dockerignore', () => {
  const copied = readFileSync(path.join(root, 'Dockerfile'), 'utf8')
    .split('\n')
    .filter((line) => /^COPY (?!--from)/.test(line))
    .flatMap((line) => line.split(' ').slice(1, -1));
  const through = readFileSync(path.join(root, '.dockerignore'), 'utf8').split('\n');
  expect(copied.length).toBeGreaterThan(5);
  expect(copied.filter((name) => !through.includes(`!${name}`))).toEqual([]);
});
