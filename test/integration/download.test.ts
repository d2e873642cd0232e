import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { strToU8, zipSync } from 'fflate';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { download } from '../../worker/files/download.js';
import { type Ran, runCommand } from '../command.js';
import { root, waitUntil } from '../harness.js';
import type { Answer } from '../peer.js';
import { rejectionOf, sampleManifest, sourceOf, writeFolder } from '../unit/sample-model.js';
import { photograph } from './photographs.js';

const file = randomBytes(1_000_000);
const otherFile = randomBytes(file.length);
const half = file.length / 2;

// The tests run at once, so none of them has hooks of its own.
const endings: (() => void)[] = [];

afterAll(() => {
  for (const end of endings) end();
});

/** A Python package index in a folder, with one wheel. */
function placeWheel(): Buffer {
  const about = 'Metadata-Version: 2.1\nName: sample\nVersion: 1.0.0\n';
  const tags = 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n';
  const files = {
    'sample/model.onnx': randomBytes(1000),
    'sample-1.0.0.dist-info/METADATA': strToU8(about),
    'sample-1.0.0.dist-info/WHEEL': strToU8(tags),
    'sample-1.0.0.dist-info/RECORD': strToU8(''),
  };
  const wheel = Buffer.from(zipSync(files));
  vi.stubEnv('PIP_NO_INDEX', '1');
  vi.stubEnv('PIP_FIND_LINKS', makeFolder({ 'sample-1.0.0-py3-none-any.whl': wheel }));
  onTestFinished(() => void vi.unstubAllEnvs());
  return wheel;
}

const hasPip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
describe.skipIf(!hasPip)('a Python package (needs pip)', () => {
  it('is taken from the index of this machine, and must be the one that was named', async () => {
    const wheel = placeWheel();
    const target = temporaryTarget();
    const { bytes, sha256 } = sourceOf('', wheel);
    const wanted = { bytes, sha256 };
    const others = { onProgress: () => {}, onRetry: () => {} };
    await download({ urls: ['pypi:sample==1.0.0'], file: target, ...wanted, ...others });
    expectContent(target, wheel);

    const other = { ...wanted, sha256: sourceOf('', otherFile).sha256 };
    const again = { urls: ['pypi:sample==1.0.0'], file: temporaryTarget(), ...other, ...others };
    await expect(download(again)).rejects.toThrow(/expected the SHA-256/);
    const missing = { ...again, urls: ['pypi:sample==2.0.0'] };
    await expect(download(missing)).rejects.toThrow(/pip says: .*sample==2\.0\.0/);
  });
});

describe.concurrent('a download', () => {
  it('puts the file in place and reports its progress', async () => {
    const mirror = await serve(sendFile(file));
    const target = temporaryTarget();
    const { progress, retries } = await downloadFrom([mirror.url], target);
    expectContent(target, file);
    expect(existsSync(`${target}.part`)).toBe(false);
    expect(mirror.ranges).toEqual([undefined]);
    expect(progress.at(-1)).toBe(file.length);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(retries).toEqual([]);
  });

  it('that was interrupted resumes where it stopped', async () => {
    const target = temporaryTarget();
    const mirror = await serve(cutOnce(target, sendFile(file)));
    const { progress, retries } = await downloadFrom([mirror.url], target);
    expectContent(target, file);
    const [first, second, ...others] = mirror.ranges;
    expect(first).toBeUndefined();
    expect(second).toBe(`bytes=${half}-`);
    expect(others).toEqual([]);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(retries).toHaveLength(1);
    expect(retries[0]).toContain(`resuming after ${half} bytes`);
  });

  it('that was interrupted starts again if the server cannot resume', async () => {
    const target = temporaryTarget();
    const mirror = await serve(cutOnce(target, sendFile(file, { ignoreRange: true })));
    await downloadFrom([mirror.url], target);
    expectContent(target, file);
    expect(mirror.ranges).toEqual([undefined, `bytes=${half}-`]);
  });

  it('resumes from the part that an earlier download left', async () => {
    const mirror = await serve(sendFile(file));
    const target = temporaryTarget();
    writeFileSync(`${target}.part`, file.subarray(0, 12_345));
    await downloadFrom([mirror.url], target);
    expectContent(target, file);
    expect(mirror.ranges).toEqual(['bytes=12345-']);
  });

  it('sends no request when an earlier download left the whole file', async () => {
    const mirror = await serve(sendFile(file));
    const target = temporaryTarget();
    writeFileSync(`${target}.part`, file);
    await downloadFrom([mirror.url], target);
    expectContent(target, file);
    expect(mirror.ranges).toEqual([]);
  });

  it('resumes at the next mirror when one breaks off for good', async () => {
    const target = temporaryTarget();
    const first = await serve(cutOnce(target, sendStatus(404)));
    const second = await serve(sendFile(file));
    await downloadFrom([first.url, second.url], target);
    expectContent(target, file);
    expect(second.ranges).toEqual([`bytes=${half}-`]);
  });

  it.each([
    ['has no such file', sendStatus(404)],
    ['is broken', sendStatus(500)],
    ['has another file of the same size', sendFile(otherFile)],
    ['has a longer file', sendFile(Buffer.concat([otherFile, otherFile]))],
  ])('moves to the next mirror when one %s', async (_what, answer) => {
    const first = await serve(answer);
    const second = await serve(sendFile(file));
    const target = temporaryTarget();
    const { retries } = await downloadFrom([first.url, second.url], target);
    expectContent(target, file);
    expect(second.ranges).toEqual([undefined]);
    expect(retries.at(-1)).toContain(first.url);
  });

  it.each([
    ['a shorter file', () => sendFile(otherFile.subarray(0, half))],
    ['a longer file that arrives in pieces', sendLongerFile],
  ])('starts over at the next mirror when one has %s', async (_what, answer) => {
    const target = temporaryTarget();
    const first = await serve(answer(target));
    const second = await serve(sendFile(file));
    await downloadFrom([first.url, second.url], target);
    expectContent(target, file);
  });

  it('starts over when an earlier download left a whole file that is wrong', async () => {
    const mirror = await serve(sendFile(file));
    const target = temporaryTarget();
    writeFileSync(`${target}.part`, otherFile);
    await downloadFrom([mirror.url], target);
    expectContent(target, file);
    expect(mirror.ranges).toEqual([undefined]);
  });

  it('starts over when the part of an earlier download turns out to be wrong', async () => {
    const mirror = await serve(sendFile(file));
    const target = temporaryTarget();
    writeFileSync(`${target}.part`, otherFile.subarray(0, half));
    await downloadFrom([mirror.url], target);
    expectContent(target, file);
    expect(mirror.ranges).toEqual([`bytes=${half}-`, undefined]);
  });

  it('moves to the next mirror when one is unreachable', async () => {
    const unreachable = `http://127.0.0.1:${await findFreePort()}/model.onnx`;
    const second = await serve(sendFile(file));
    const target = temporaryTarget();
    const { retries } = await downloadFrom([unreachable, second.url], target);
    expectContent(target, file);
    expect(retries.at(-1)).toContain('ECONNREFUSED');
  });

  it.each([
    ['another file of the same size', sendFile(otherFile), 'SHA-256'],
    ['a longer file', sendFile(Buffer.concat([file, file])), 'got one of 2000000'],
    ['a file that the server refuses', sendStatus(403), '403'],
  ])('puts nothing in place when a mirror has %s', async (_what, answer, reason) => {
    const mirror = await serve(answer);
    const target = temporaryTarget();
    const error = await rejectionOf(downloadFrom([mirror.url], target));
    expect(error.code).toBe('download_failed');
    expect(error.message).toContain(mirror.url);
    expect(error.message).toContain(reason);
    expect(existsSync(target)).toBe(false);
  });

  it.skipIf(process.platform !== 'linux')(
    'is not tried again if the disk does not take it',
    async () => {
      const [first, second] = [await serve(sendFile(file)), await serve(sendFile(file))];
      // Not even root may write there.
      const error = await rejectionOf(downloadFrom([first.url, second.url], '/sys/model.onnx'));
      expect(error.message).toMatch(/^Expected a folder for downloads .* at \/sys; got E/);
      expect([first.ranges, second.ranges]).toEqual([[undefined], []]);
    },
  );

  it('does not follow a link that lies where its unfinished file would be', async () => {
    const mirror = await serve(sendFile(file));
    const target = temporaryTarget();
    const victim = `${target}.other`;
    writeFileSync(victim, 'the file of another');
    symlinkSync(victim, `${target}.part`);
    await downloadFrom([mirror.url], target);
    expectContent(target, file);
    expect(readFileSync(victim, 'utf8')).toBe('the file of another');
  });

  it('keeps the existing file until the new one is correct', async () => {
    const mirror = await serve(sendFile(otherFile));
    const target = temporaryTarget();
    writeFileSync(target, 'the old one');
    await rejectionOf(downloadFrom([mirror.url], target));
    expect(readFileSync(target, 'utf8')).toBe('the old one');
  });
});

describe.concurrent('npm run models -- pull', () => {
  it('gets the file, and sends no request when the file is there and correct', async () => {
    const mirror = await serve(sendFile(file));
    const models = temporaryModels({ urls: [mirror.url] });
    const first = await runModels(models, 'pull', 'small');
    expect(first.code).toBe(0);
    expect(first.out).toContain('is in place; its size and SHA-256 match');
    expectContent(models.file, file);
    expect(mirror.ranges).toHaveLength(1);

    const second = await runModels(models, 'pull', 'small');
    expect(second).toMatchObject({ code: 0, err: '' });
    expect(second.out).toContain('is already there, and its SHA-256 matches');
    expect(mirror.ranges).toHaveLength(1);
  });

  it('replaces a wrong file', async () => {
    const mirror = await serve(sendFile(file));
    const models = temporaryModels({ urls: [mirror.url], content: otherFile });
    expect(await runModels(models, 'pull', 'small')).toMatchObject({ code: 0 });
    expectContent(models.file, file);
  });

  it('names every mirror that failed, keeps the part, and resumes the next time', async () => {
    const answers: Answer[] = [];
    const missing = await serve(sendStatus(404));
    const cut = await serve((response, request) => answers.shift()?.(response, request));
    const models = temporaryModels({ urls: [missing.url, cut.url] });

    answers.push(sendFirstHalf(models.file), sendStatus(503));
    const failed = await runModels(models, 'pull', 'small');
    expect(failed.code).toBe(1);
    expect(failed.err).toContain('none delivered it');
    expect(failed.err).toContain(`${missing.url}: the server answered 404`);
    expect(failed.err).toContain(`${cut.url}: the server answered 503`);
    expect(existsSync(models.file)).toBe(false);
    expectContent(`${models.file}.part`, file.subarray(0, half));

    answers.push(sendFile(file));
    expect(await runModels(models, 'pull', 'small')).toMatchObject({ code: 0 });
    expectContent(models.file, file);
    expect(cut.ranges).toEqual([undefined, `bytes=${half}-`, `bytes=${half}-`]);
  });

  it('fails with the reason when the manifest has no addresses', async () => {
    const run = await runModels(temporaryModels({ urls: [] }), 'pull', 'small');
    expect(run).toMatchObject({ code: 1, out: '' });
    expect(run.err).toContain('expected addresses in source.urls');
  });

  it('names the known models when asked for an unknown one', async () => {
    const run = await runModels(temporaryModels({ urls: [] }), 'pull', 'large');
    expect(run).toMatchObject({ code: 1, out: '' });
    expect(run.err).toContain('There is no model "large". The models here: small.');
  });
});

describe.concurrent('npm run models -- list', () => {
  it('says how large each model is and whether its file is here', async () => {
    const absent = await runModels(temporaryModels({ urls: ['http://127.0.0.1:9/'] }), 'list');
    expect(absent).toMatchObject({ code: 0, err: '' });
    expect(absent.out).toMatch(/^small +1\.0 MB +not here; npm run models -- pull small$/m);
    expect(absent.out).toContain('A model for tests.');

    const models = temporaryModels({ urls: [] });
    const alone = await runModels(models, 'list');
    expect(alone.out).toMatch(/^small +1\.0 MB +not here; put it at /m);
    expect(alone.out).toContain(models.file);

    const present = await runModels(temporaryModels({ urls: [], content: file }), 'list');
    expect(present).toMatchObject({ code: 0, err: '' });
    expect(present.out).toMatch(/^small +1\.0 MB +here$/m);

    const tiny = await runModels(
      temporaryModels({ urls: [], network: file.subarray(0, 1032) }),
      'list',
    );
    expect(tiny.out).toMatch(/^small +1\.0 kB +not here/m);
  });

  it.each([
    [[], 'list\n'],
    [['pull'], 'pull NAME …\n'],
    [['remove', 'small'], 'list\n'],
    [['list', 'small'], 'list\n\n'],
  ])('prints the usage and what came instead when called with %j', async (parameters, usage) => {
    const run = await runModels(temporaryModels({ urls: [] }), ...parameters);
    expect(run).toMatchObject({ code: 1, out: '' });
    expect(run.err).toContain(`Usage: npm run models -- ${usage}`);
    expect(run.err).toContain(`Got: ${parameters.join(' ') || 'nothing'}`);
  });
});

// What it finds wrong is in check.test.ts, scorer.test.ts and verification.test.ts.
describe.concurrent('npm run models -- check', () => {
  it.each([[['efficientnet-lite0']], [[]]])(
    'passes a model that matches its manifest, named or not: %j',
    async (names) => {
      const run = await runModels(copyOfEfficientNet(), 'check', ...names);
      expect(run).toMatchObject({ code: 0, err: '' });
      expect(run.out).toContain('efficientnet-lite0@1');
      expect(run.out).toContain('1000 classes');
      expect(run.out).toContain('SHA-256 matches');
      expect(run.out).toMatch(/example +"tiger cat" at 0\.4\d+, as expected/);
    },
  );

  it('checks every model that is named, also after one that fails', async () => {
    const models = copyOfEfficientNet();
    const folder = path.dirname(models.file);
    const manifest = readFileSync(path.join(folder, 'model.yaml'), 'utf8');
    const wrong = manifest.replace('0.408', '0.9').replace(/name: .*/, 'name: wrong');
    cpSync(folder, path.join(models.directory, 'wrong'), { recursive: true });
    writeFileSync(path.join(models.directory, 'wrong/model.yaml'), wrong);
    const run = await runModels(models, 'check', 'wrong', 'efficientnet-lite0');
    expect(run.code).toBe(1);
    expect(run.err).toMatch(/expected "tiger cat" at 0\.9 .*; got "tiger cat" at 0\.4/);
    expect(run.out).toMatch(/efficientnet-lite0@1\n.*, as expected/s);
  });

  it('fails with what is wrong, such as a file that is not an ONNX model', async () => {
    const run = await runModels(temporaryModels({ urls: [], content: file }), 'check', 'small');
    expect(run.code).toBe(1);
    expect(run.out).toBe('small@1\n  manifest   valid, 2 classes\n');
    expect(run.err).toContain('expected an ONNX model; got a file that cannot be read at byte');
    expect(run.err).not.toMatch(/^ +at /m);
  });
});

interface Mirror {
  readonly url: string;
  /** The Range header of each request so far. */
  readonly ranges: (string | undefined)[];
}

async function serve(answer: Answer): Promise<Mirror> {
  const ranges: Mirror['ranges'] = [];
  const server = createServer((request, response) => {
    ranges.push(request.headers.range);
    answer(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endings.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/model.onnx`, ranges };
}

/** Sends a file, or the requested range of it, unless told to ignore ranges. */
function sendFile(content: Buffer, options: { ignoreRange?: boolean } = {}): Answer {
  return (response, request) => {
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    if (!range || options.ignoreRange) {
      response.writeHead(200, { 'content-length': content.length }).end(content);
      return;
    }
    const from = Number(range[1]);
    if (from >= content.length) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
      return;
    }
    response.writeHead(206, {
      'content-length': content.length - from,
      'content-range': `bytes ${from}-${content.length - 1}/${content.length}`,
    });
    response.end(content.subarray(from));
  };
}

function sendStatus(status: number): Answer {
  return (response) => response.writeHead(status).end('no');
}

function cutOnce(target: string, answer: Answer): Answer {
  const answers = [sendFirstHalf(target)];
  return (response, request) => (answers.shift() ?? answer)(response, request);
}

/** Sends half the file, and breaks the connection once the client has written that half. */
function sendFirstHalf(target: string): Answer {
  return async (response) => {
    response.writeHead(200, { 'content-length': file.length });
    response.write(file.subarray(0, half));
    await halfIsWritten(target, response);
    response.socket?.destroy();
  };
}

/** Sends a wrong file without its length: first a piece, and, once the client has written that, too much. */
function sendLongerFile(target: string): Answer {
  return async (response) => {
    response.writeHead(200);
    response.write(otherFile.subarray(0, half));
    await halfIsWritten(target, response);
    response.end(Buffer.concat([otherFile, otherFile.subarray(half)]));
  };
}

/** A client that has gone writes no more, so nothing waits for it when its test has ended. */
async function halfIsWritten(target: string, response: ServerResponse): Promise<void> {
  const isWritten = () => sizeOf(`${target}.part`) === half;
  await waitUntil('half the file is written', () => response.destroyed || isWritten());
}

function sizeOf(target: string): number {
  return statSync(target, { throwIfNoEntry: false })?.size ?? 0;
}

async function downloadFrom(urls: string[], target: string) {
  const progress: number[] = [];
  const retries: string[] = [];
  await download({
    urls,
    file: target,
    bytes: file.length,
    sha256: sourceOf('', file).sha256,
    onProgress: (bytesDone) => progress.push(bytesDone),
    onRetry: (reason) => retries.push(reason),
  });
  return { progress, retries };
}

/** Compares by length and checksum. Nobody can read a failure message of a million bytes. */
function expectContent(target: string, content: Buffer): void {
  expect(sourceOf('', readFileSync(target))).toEqual(sourceOf('', content));
}

function makeFolder(files: Record<string, unknown>): string {
  const folder = writeFolder(files);
  endings.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function temporaryTarget(): string {
  return path.join(makeFolder({}), 'model.onnx');
}

interface Models {
  readonly directory: string;
  readonly file: string;
}

/** Makes a models folder with one model, `small`. */
function temporaryModels(options: { urls: string[]; content?: Buffer; network?: Buffer }): Models {
  const directory = makeFolder({
    'small/model.yaml': {
      ...{ ...sampleManifest, name: 'small' },
      source: { ...sourceOf('model.onnx', options.network ?? file), urls: options.urls },
    },
    'small/labels.txt': '1 cat\n2 dog\n',
    ...(options.content && { 'small/model.onnx': options.content }),
  });
  return { directory, file: path.join(directory, 'small/model.onnx') };
}

/** Makes a models folder with a copy of efficientnet-lite0. */
function copyOfEfficientNet(): Models {
  const original = path.join(root, 'models/efficientnet-lite0');
  const manifest = readFileSync(path.join(original, 'model.yaml'), 'utf8').replace(
    /input: .*chelsea\.png/,
    'input: chelsea.png',
  );
  const directory = makeFolder({
    'efficientnet-lite0/model.yaml': manifest,
    'efficientnet-lite0/chelsea.png': photograph('chelsea.png'),
    'imagenet-1k.txt': readFileSync(path.join(root, 'models/imagenet-1k.txt'), 'utf8'),
  });
  const file = path.join(directory, 'efficientnet-lite0/model.onnx');
  symlinkSync(path.join(original, 'model.onnx'), file);
  return { directory, file };
}

/** Runs the built command, like `npm run models` after its build. */
function runModels(models: Models, ...parameters: string[]): Promise<Ran> {
  return runCommand('models', parameters, { env: { MODELS_DIR: models.directory } });
}
