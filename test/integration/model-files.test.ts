import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { filesOf } from '../../shared/registry/files.js';
import { type Model, readModels } from '../../shared/registry/models.js';
import { ensureModelFiles } from '../../worker/files/model-files.js';
import { openPeer } from '../peer.js';
import {
  errorOf,
  makeFolder,
  sampleLabels,
  sampleManifest,
  sourceOf,
} from '../unit/sample-model.js';

/** The shortest of all ONNX files: the name of its maker. */
const content = '\x12\x09a network';
const described = sourceOf('model.onnx', content);
const log = makeLogger({ role: 'test', level: 'silent' });

/** Serves the file, and counts how often it was asked for. */
async function serve(answer = content, status = 200) {
  const { url, requests } = await openPeer((response) => response.writeHead(status).end(answer));
  return { url: `${url}/model.onnx`, asked: () => requests.length };
}

function read(options: { urls?: string[]; file?: string; cache?: string }): Model {
  const { urls = [], file, cache } = options;
  const directory = makeFolder({
    'sample/model.yaml': { ...sampleManifest, source: { ...described, urls } },
    'sample/labels.txt': sampleLabels,
    ...(file !== undefined && { 'sample/model.onnx': file }),
  });
  const [model] = readModels({ directory, names: ['sample'], filesNeeded: true, cache });
  return model as Model;
}

describe('the file of a model', () => {
  test('in its folder is used as it is', async () => {
    const mirror = await serve();
    const model = read({ file: content, urls: [mirror.url], cache: makeFolder({}) });
    await ensureModelFiles(model, log);
    expect(path.dirname(model.file)).toBe(model.folder);
    expect(mirror.asked()).toBe(0);
  });

  test.each([
    ['has another content', '\x12\x09A NETWORK'],
    ['was cut off', '\x12\x09a net'],
  ])('in its folder is refused if it %s, with both checksums', async (_what, file) => {
    const refused = ensureModelFiles(read({ file }), log);
    await expect(refused).rejects.toMatchObject({ code: 'model_file_wrong' });
    await expect(refused).rejects.toThrow(/expected 11 bytes with SHA-256 \w+; got \d+ bytes/);
  });

  test('is missing without a cache, or without an address', () => {
    const urls = ['http://127.0.0.1:9/model.onnx'];
    expect(errorOf(() => read({ urls })).code).toBe('model_file_missing');
    expect(errorOf(() => read({ cache: makeFolder({}) })).code).toBe('model_file_missing');
  });

  test('is downloaded once, whichever workers share the cache, and found there later', async () => {
    const mirror = await serve();
    const cache = path.join(makeFolder({}), 'made', 'when', 'needed');
    const models = [1, 2, 3].map(() => read({ urls: [mirror.url], cache }));
    await Promise.all(models.map((model) => ensureModelFiles(model, log)));
    await ensureModelFiles(read({ urls: [mirror.url], cache }), log);
    expect(mirror.asked()).toBe(1);
    for (const { file } of models) expect(readFileSync(file, 'utf8')).toBe(content);
  });

  test('is downloaded again if the cache has another content', async () => {
    const mirror = await serve();
    const model = read({ urls: [mirror.url], cache: makeFolder({}) });
    writeFileSync(model.file, 'half a network that a full disk left');
    await ensureModelFiles(model, log);
    expect(readFileSync(model.file, 'utf8')).toBe(content);
  });

  test('is downloaded with its external data, each beside the other', async () => {
    const mirror = await serve();
    const hashed = { ...described, urls: [mirror.url] };
    const source = {
      ...hashed,
      file: 'onnx/model.onnx',
      externalData: [{ ...hashed, file: 'onnx/data/weights.bin' }],
    };
    const directory = makeFolder({
      'sample/model.yaml': { ...sampleManifest, source },
      'sample/labels.txt': sampleLabels,
    });
    const cache = makeFolder({});
    const [model] = readModels({ directory, names: ['sample'], filesNeeded: true, cache });
    await ensureModelFiles(model as Model, log);
    expect(mirror.asked()).toBe(2);
    const [onnx, weights] = filesOf(model as Model).map((file) => path.relative(cache, file.path));
    expect(onnx).toMatch(/^[0-9a-f]{64}\/onnx\/model.onnx$/);
    expect(weights).toBe(path.join(path.dirname(onnx as string), 'data/weights.bin'));
    await ensureModelFiles(model as Model, log);
    expect(mirror.asked()).toBe(2);
    writeFileSync(path.join(cache, weights as string), 'half');
    await ensureModelFiles(model as Model, log);
    expect(mirror.asked()).toBe(3);
  });

  test('is not downloaded through a link that leads out of the cache', async () => {
    const mirror = await serve();
    const cache = makeFolder({});
    const model = read({ urls: [mirror.url], cache });
    const inOnnx = { ...model.manifest.source, file: 'onnx/model.onnx' };
    const linked = {
      ...model,
      manifest: { ...model.manifest, source: inOnnx },
      file: path.join(cache, 'onnx/model.onnx'),
    };
    const elsewhere = makeFolder({});
    symlinkSync(elsewhere, path.join(cache, 'onnx'));
    const refused = ensureModelFiles(linked, log);
    await expect(refused).rejects.toMatchObject({ code: 'model_file_wrong' });
    await expect(refused).rejects.toThrow(`a link leads to ${elsewhere}`);
    expect([mirror.asked(), readdirSync(elsewhere)]).toEqual([0, []]);
  });

  test.skipIf(process.platform !== 'linux')(
    'is not asked for if its folder cannot be written to',
    async () => {
      const mirror = await serve();
      // Not even root may write there.
      const model = read({ urls: [mirror.url], cache: '/sys/scoreline' });
      const failing = ensureModelFiles(model, log);
      await expect(failing).rejects.toMatchObject({ code: 'download_failed' });
      await expect(failing).rejects.toThrow(/at \/sys\/.*; got E.* (?:Let|Mount) /);
      expect(mirror.asked()).toBe(0);
    },
  );

  test('that no address delivers leaves no lock behind', async () => {
    const mirror = await serve('', 404);
    const model = read({ urls: [mirror.url], cache: makeFolder({}) });
    const failing = ensureModelFiles(model, log);
    await expect(failing).rejects.toMatchObject({ code: 'download_failed' });
    expect(existsSync(`${model.file}.lock`)).toBe(false);
  });
});
