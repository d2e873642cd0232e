// Tests `npm run score` with a real service that limits its callers, and that is restarted meanwhile.

import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { counterName, writeCounter } from '../failures/counter.js';
import {
  ask,
  openRedisForAll,
  root,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';
import { json, openPeer } from '../peer.js';
import { writeFolder } from '../unit/sample-model.js';

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly said: string;
}

const redis = await openRedisForAll();
let environment: NodeJS.ProcessEnv;
let api: Child;
let worker: Child;
let url: string;
let key: string;
let folder: string;

beforeAll(async () => {
  folder = writeFolder({});
  const port = await findFreePort();
  url = `http://127.0.0.1:${port}`;
  environment = serviceEnvironment({
    redisUrl: redis.url,
    environment: { AUTH: 'keys', PORT: String(port) },
  });
  const made = await run('keys', ['create', 'nightly', '--per-second', '40', '--concurrent', '4']);
  key = made.out;
  worker = startProcess('worker', environment, []);
  api = startProcess('api', environment, []);
  await Promise.all([worker.ready, api.ready]);
});

afterAll(async () => {
  for (const child of [api, worker]) child?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

describe('npm run score', () => {
  test('scores a file within the limits of its caller, and says what has failed and why', async () => {
    const file = writeLines('questions.ndjson', 60, ['{"id": "empty", "input": ""}', '{"cut off']);
    const { code, out, said } = await score('faq-matcher', file, '--top', '1');
    const answers = parseLines(out);
    expect(code).toBe(1);
    expect(answers.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 62 }, (_, index) => index),
    );
    expect(answers.find(({ id }) => id === 'question 7').predictions).toHaveLength(1);
    const failed = answers.filter(({ problem }) => problem);
    expect(failed.map(({ problem }) => problem.code).toSorted()).toEqual([
      'input_missing',
      'invalid_json',
    ]);
    expect(said).toContain('60 scored, 2 failed');
    expect(said).toMatch(/The first is input 6[12]/);
    // A bar is for terminals.
    expect(said).not.toContain('%');
  });

  test('goes on where it was stopped, after a restart of the API too', async () => {
    const file = writeLines('many.ndjson', 120);
    const out = path.join(folder, 'many.out');
    const stopped = start('score', ['faq-matcher', file, '--url', url, '--out', out]);
    await waitUntil('some are scored', () => countLines(out) > 10);
    stopped.child.kill('SIGKILL');
    await stopped.outcome;
    const before = countLines(out);
    // An input that changes is scored again, and a line that was cut off does not count.
    writeFileSync(out, `${readFileSync(out, 'utf8')}{"index":119,"digest":"`);

    const second = start('score', ['faq-matcher', file, '--url', url, '--out', out]);
    await waitUntil('more are scored', () => countLines(out) > before + 10);
    api.kill('SIGKILL');
    await api.exited;
    api = startProcess('api', environment, []);
    await api.ready;
    const { code, said } = await second.outcome;
    expect([code, said]).toEqual([0, expect.stringContaining(`${before} had been before`)]);
    expect(new Set(parseLines(readFileSync(out, 'utf8')).map(({ index }) => index)).size).toBe(120);
    expect(countLines(out)).toBe(120);

    const changed = readFileSync(file, 'utf8').replace('number 5 ', 'number five ');
    writeFileSync(file, changed);
    const third = await score('faq-matcher', file, '--out', out);
    expect(third.said).toContain('1 scored, 0 failed, 119 had been before');
    expect(countLines(out)).toBe(120);
    const resumed = await score('faq-matcher', file, '--resume', out);
    expect([resumed.code, resumed.out]).toEqual([0, '']);
  });

  test('fails if its file of answers is taken by another run, and the other one has all answers', async () => {
    const lines = 600;
    const file = writeLines('overlapping.ndjson', lines);
    const target = path.join(folder, 'overlapping.out');
    const out = path.join(folder, 'overlapping-link.out');
    writeFileSync(target, '', { mode: 0o600 });
    symlinkSync(target, out);
    // One after the other, so that it is still at work when the other has started.
    const parameters = ['faq-matcher', file, '--url', url, '--out', out, '--concurrency', '1'];
    const first = start('score', parameters);
    await waitUntil('some are scored', () => countLines(out) > 10);
    const second = await score('faq-matcher', file, '--out', out);
    expect([second.code, second.said]).toEqual([0, expect.stringContaining('0 failed')]);
    const { code, said } = await first.outcome;
    expect([code, said]).toEqual([1, expect.stringContaining('perhaps by another run')]);
    const indices = parseLines(readFileSync(target, 'utf8')).map(({ index }) => index);
    expect(indices.toSorted((a, b) => a - b)).toEqual(Array.from({ length: lines }, (_, at) => at));
    expect(lstatSync(out).isSymbolicLink()).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o600);
  });

  test('fails if the disk has room for a part of an answer only', async () => {
    const file = writeLines('full.ndjson', 1);
    const out = path.join(folder, 'full.out');
    // The most that a shell lets a file have is like a full disk: the first write is cut short.
    const command = `ulimit -f 1; exec "$0" "$@"`;
    const parameters = ['faq-matcher', file, '--url', url, '--out', out, '--top', '20'];
    const script = path.join(root, 'dist/cli/score.js');
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', command, process.execPath, script, ...parameters],
      { env: { ...environment, SCORELINE_KEY: key }, encoding: 'utf8' },
    );
    expect([status, stderr]).toEqual([1, expect.stringContaining(`Expected a file at ${out}`)]);
    const again = await score('faq-matcher', file, '--out', out, '--top', '20');
    expect([again.code, countLines(out)]).toEqual([0, 1]);
  });

  test('fails if its file of answers is moved away', async () => {
    const file = writeLines('moved.ndjson', 120);
    const out = path.join(folder, 'moved.out');
    const run = start('score', ['faq-matcher', file, '--url', url, '--out', out]);
    await waitUntil('some are scored', () => countLines(out) > 10);
    renameSync(out, `${out}.old`);
    const { code, said } = await run.outcome;
    expect([code, said]).toEqual([1, expect.stringContaining('was replaced, moved or deleted')]);
  });

  test('scores the pictures of a folder, whatever else is in it', async () => {
    const pictures = path.join(folder, 'pictures');
    mkdirSync(path.join(pictures, 'more'), { recursive: true });
    const photographs = path.join(root, 'test/photographs');
    copyFileSync(path.join(photographs, 'siamese-cat.jpg'), path.join(pictures, 'cat.jpg'));
    copyFileSync(path.join(photographs, 'coffee.png'), path.join(pictures, 'more/coffee.png'));
    copyFileSync(path.join(photographs, 'coffee.png'), path.join(pictures, 'saved.JFIF'));
    writeFileSync(path.join(pictures, 'notes.txt'), 'no picture');
    const good = await score('efficientnet-lite0', pictures, '--top', '1');
    const labels = parseLines(good.out).map(({ id, predictions }) => [id, predictions[0].label]);
    expect(good.code).toBe(0);
    expect(new Map(labels as [string, string][])).toEqual(
      new Map([
        ['cat.jpg', 'Siamese cat, Siamese'],
        ['more/coffee.png', 'espresso'],
        ['saved.JFIF', 'espresso'],
      ]),
    );
    expect(good.said).toMatch(/not those of pictures: notes\.txt$/m);
    writeFileSync(path.join(pictures, 'broken.jpg'), 'no picture either');
    writeFileSync(path.join(pictures, 'old.bmp'), 'BM');
    const { code, said } = await score('efficientnet-lite0', pictures);
    expect(code).toBe(1);
    expect(said).toContain('3 scored, 2 failed');
    expect(said).toContain('The first is broken.jpg: Expected');
  });

  test('takes the answers of each version that requests may get', async () => {
    const models = path.join(folder, 'models');
    for (const version of ['1', '2']) {
      writeCounter(path.join(models, counterName, version), { version, letter: 'd' });
    }
    const shares = (weights: object) =>
      writeFileSync(path.join(models, counterName, 'traffic.yaml'), JSON.stringify({ weights }));
    shares({ 1: 50, 2: 50 });
    const own = serviceEnvironment({
      redisUrl: redis.url,
      models: counterName,
      environment: { MODELS_DIR: models, QUEUE_PREFIX: 'canary' },
    });
    const counters = [startProcess('worker', own, []), startProcess('api', own, [])];
    try {
      const [, { port }] = (await Promise.all(counters.map(({ ready }) => ready))) as [
        unknown,
        { port: number },
      ];
      const file = path.join(folder, 'canary.ndjson');
      const out = path.join(folder, 'canary.out');
      writeFileSync(file, Array.from({ length: 24 }, (_, at) => `{"input":"${at}"}\n`).join(''));
      const address = `http://127.0.0.1:${port}`;
      const again = () =>
        run('score', [counterName, file, '--out', out, '--url', address, '--concurrency', '1']);
      expect((await again()).said).toContain('24 scored, 0 failed');
      const versions = parseLines(readFileSync(out, 'utf8')).map(({ version }) => version);
      expect(new Set(versions)).toEqual(new Set(['1', '2']));
      expect((await again()).said).toContain('0 scored, 0 failed, 24 had been before');

      shares({ 1: 100, 2: 0 });
      const replaced = versions.filter((version) => version === '2').length;
      await waitUntil('the shares are read', async () => {
        const { body } = await ask(`http://127.0.0.1:${port}/v1/models`);
        const listed: { traffic: { share: number } }[] = body.models;
        return listed.some(({ traffic }) => traffic.share === 1);
      });
      expect((await again()).said).toContain(`${replaced} scored, 0 failed`);
    } finally {
      await Promise.all(counters.map((counter) => counter.close()));
    }
  });

  test('does not take the answers of another model, version or number of classes', async () => {
    const picture = readFileSync(path.join(root, 'test/photographs/siamese-cat.jpg'), 'base64');
    const file = path.join(folder, 'both.ndjson');
    writeFileSync(file, `${JSON.stringify({ input: picture })}\n`);
    const out = path.join(folder, 'both.out');
    const answer = () => {
      const [{ model, predictions }, ...others] = parseLines(readFileSync(out, 'utf8'));
      expect(others).toEqual([]);
      return [model, predictions.length];
    };
    await score('efficientnet-lite0', file, '--out', out, '--top', '1');
    expect(answer()).toEqual(['efficientnet-lite0', 1]);
    const three = await score('efficientnet-lite0', file, '--out', out, '--top', '3');
    expect(three.said).toContain('1 scored, 0 failed, in');
    expect(three.said).toContain('1 answers are to other inputs, or from another model');
    expect(answer()).toEqual(['efficientnet-lite0', 3]);
    const same = await score('efficientnet-lite0', file, '--out', out, '--top', '3');
    expect(same.said).toContain('0 scored, 0 failed, 1 had been before');

    writeFileSync(out, readFileSync(out, 'utf8').replace('"version":"', '"version":"0.'));
    const version = await score('efficientnet-lite0', file, '--out', out, '--top', '3');
    expect(version.said).toContain('1 scored, 0 failed, in');

    writeFileSync(file, '{"input": "copy an object"}\n');
    await score('faq-matcher', file, '--out', out);
    const [matched] = parseLines(readFileSync(out, 'utf8'));
    const other = await score('efficientnet-lite0', file, '--resume', out);
    expect(matched.model).toBe('faq-matcher');
    expect([other.code, parseLines(other.out)[0].problem.code]).toEqual([1, 'base64_invalid']);
  });

  test('fails a line alone that is longer than any string', async () => {
    const file = writeLines('long.ndjson', 1);
    truncateSync(file, 600_000_000);
    appendFileSync(file, '\n{"input": "copy an object"}\n');
    const { code, out, said } = await score('faq-matcher', file, '--top', '1');
    expect([code, said]).toEqual([1, expect.stringContaining('2 scored, 1 failed')]);
    const [, long] = parseLines(out).toSorted((one, other) => one.index - other.index);
    expect(long.problem.detail).toMatch(/^Expected a line of up to \d+ bytes/);
  });

  test('fails lines alone that are not one input in UTF-8 with an id that can be repeated', async () => {
    const file = path.join(folder, 'wrong.ndjson');
    const input = '"input": "copy an object"';
    const lines: [line: string, expected: string | number | undefined][] = [
      [`{${input}, "id": "caf\u00e9"}`, 'input_invalid'],
      [`\ufeff{${input}, "id": "marked"}`, 'marked'],
      ['{"inputs": ["", ""]}', 'input_missing'],
      [`{${input}, "inputs": ["", ""]}`, 'input_invalid'],
      ['{"text": "copy"}', 'input_missing'],
      [`[{${input}}]`, 'invalid_json'],
      ['{"input": NaN}', 'invalid_json'],
      ['{"id": "a \\"gap\\"", "input": NaN}', 'invalid_json'],
      ['{"id": 7, "input": "copy', 'invalid_json'],
      ['{"input": {"id": 8, "a": NaN}}', 'invalid_json'],
      [`{${input}, "id": 9007199254740991}`, 9007199254740991],
      [`{${input}, "id": 9007199254740993}`, 'input_invalid'],
      [`{${input}, "id": 1.5}`, 'input_invalid'],
      [`{${input}, "id": {"a": 1}}`, 'input_invalid'],
      [`{"input": "copy\u2028an object", "id": "two lines"}\r`, 'two lines'],
    ];
    const [[latin]] = lines as [[string, string]];
    const others = lines.slice(1).map(([line]) => `${line}\n`);
    const bytes = [Buffer.from(`${latin}\n`, 'latin1'), Buffer.from(others.join(''))];
    writeFileSync(file, Buffer.concat(bytes));
    const { code, out, said } = await score('faq-matcher', file, '--top', '1');
    const answers = parseLines(out).toSorted((a, b) => a.index - b.index);
    expect(answers.map(({ id, problem }) => problem?.code ?? id)).toEqual(
      lines.map(([, expected]) => expected),
    );
    expect(answers.map(({ predictions }) => predictions?.length)).toEqual(
      lines.map(([, expected]) => (/^in(put|valid)_/.test(String(expected)) ? undefined : 1)),
    );
    expect(code).toBe(1);
    expect(said).toContain('3 scored, 12 failed');
    const idsOfBroken = answers.flatMap(({ id, problem }) => (problem && id) ?? []);
    expect(idsOfBroken).toEqual(['a "gap"', 7]);
    expect(said).toContain('The first is input 1: Expected a line in UTF-8');
    expect(out).toContain('write null instead');
  });

  test('follows links to pictures and folders, and tells of those that lead nowhere', async () => {
    const pictures = path.join(folder, 'linked/pictures');
    const elsewhere = path.join(folder, 'linked/elsewhere');
    for (const made of [pictures, elsewhere]) mkdirSync(made, { recursive: true });
    const cat = path.join(root, 'test/photographs/siamese-cat.jpg');
    copyFileSync(cat, path.join(elsewhere, 'cat.jpg'));
    symlinkSync(cat, path.join(pictures, 'cat.jpg'));
    symlinkSync(elsewhere, path.join(pictures, 'more'));
    symlinkSync('..', path.join(elsewhere, 'around'));
    symlinkSync('.', path.join(pictures, 'again'));
    const whole = await score('efficientnet-lite0', pictures, '--top', '1');
    const names = parseLines(whole.out).map(({ id }) => id);
    expect(names.toSorted()).toEqual(['cat.jpg', 'more/cat.jpg']);
    expect(whole.code).toBe(0);

    rmSync(path.join(elsewhere, 'around'));
    symlinkSync('nowhere', path.join(pictures, 'gone.jpg'));
    symlinkSync('nowhere', path.join(pictures, 'gone'));
    const { code, out, said } = await score('efficientnet-lite0', pictures, '--top', '1');
    expect(parseLines(out).map(({ id, problem }) => [id, problem?.code])).toEqual(
      expect.arrayContaining([
        ['cat.jpg', undefined],
        ['more/cat.jpg', undefined],
        ['gone.jpg', 'input_invalid'],
      ]),
    );
    expect(code).toBe(1);
    expect(said).toContain('2 scored, 1 failed');
    expect(said).toMatch(/lead nowhere: gone$/m);
  });

  test.each([
    ['a part of a line', (line: string) => line.slice(0, 40)],
    ['a few characters', () => '{"in'],
    ['a line without its end', (line: string) => line],
  ])('goes on after %s in the output that it is appended to', async (_what, cut) => {
    const file = writeLines('appended.ndjson', 3);
    const whole = await score('faq-matcher', file, '--top', '1');
    const lines = whole.out.split('\n');
    const part = path.join(folder, 'appended.out');
    const rest = cut(lines[1] as string);
    writeFileSync(part, `${lines[0]}\n${rest}`);
    const appended = openSync(part, 'a');
    const { code } = await start(
      'score',
      ['faq-matcher', file, '--top', '1', '--resume', part, '--url', url],
      appended,
    ).outcome;
    closeSync(appended);
    expect(code).toBe(0);
    const after = readFileSync(part, 'utf8').split('\n');
    expect(after.slice(0, 2)).toEqual([lines[0], rest]);
    const answers = after.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line));
    expect(answers.map(({ index }) => index).toSorted()).toEqual([0, 1, 2]);

    const resumed = await score('faq-matcher', file, '--top', '1', '--resume', part);
    expect([resumed.code, resumed.out]).toEqual([0, '']);
    const out = await score('faq-matcher', file, '--top', '1', '--out', part);
    expect(out.said).toContain('3 had been before');
    expect(parseLines(readFileSync(part, 'utf8'))).toHaveLength(3);
  });

  test('writes numbers as the service does, and asks again if something else has answered', async () => {
    const versions = [{ version: '1', traffic: { share: 1 }, deadlineMs: 1000 }];
    const models = versions.map((rest) => ({ name: 'm', input: { kind: 'text' }, ...rest }));
    const answer = (value: string) =>
      `{"model":"m","version":"1","id":"\\"-0\\"","predictions":[{"value":${value}}]}`;
    const values = ['9007199254740993', '-0.0', '1e2', '1.10', '-12345678901234567890'];
    let asked = 0;
    const peer = await openPeer((response, request) => {
      if (request.url === '/v1/models') return json({ models })(response, request);
      asked++;
      response.setHeader('Content-Type', asked % 2 === 0 ? 'application/json' : 'text/html');
      const at = Math.floor((asked - 1) / 2);
      response.end(asked % 2 === 0 ? answer(values[at] as string) : '<html>');
    });
    const file = writeLines('exact.ndjson', values.length);
    const parameters = ['m', file, '--concurrency', '1', '--url', peer.url];
    const { code, out, said } = await score(...parameters);
    expect([code, said]).toEqual([0, expect.stringContaining('5 scored, 0 failed')]);
    const written = out.trim().split('\n');
    expect(written.map((line) => /"value":([^}]*)/.exec(line)?.[1])).toEqual(values);
    expect(parseLines(out).map(({ id }) => id)).toEqual(values.map((_, at) => `question ${at}`));
  });

  test('says how far it is where no terminal shows a bar', async () => {
    const model = { name: 'm', version: '1', traffic: { share: 1 }, deadlineMs: 60_000 };
    let release = () => {};
    const peer = await openPeer((response, request) => {
      const answer = json(
        request.url === '/v1/models'
          ? { models: [{ ...model, input: { kind: 'text' } }] }
          : { model: 'm', version: '1', predictions: [] },
      );
      if (request.url === '/v1/models') return answer(response, request);
      release = () => answer(response, request);
    });
    const file = writeLines('slow.ndjson', 1);
    const { child, outcome } = start('score', ['m', file, '--url', peer.url]);
    // Otherwise, this waits for ever.
    child.stderr?.on('data', (text) => text.includes('0 of 1 inputs, 0 failed') && release());
    expect((await outcome).said).toContain('1 scored, 0 failed');
  });

  test('has as many pictures in flight as it is told to', async () => {
    const model = { name: 'm', version: '1', traffic: { share: 1 }, deadlineMs: 60_000 };
    const models = [{ ...model, input: { kind: 'image' } }];
    const held: (() => void)[] = [];
    const peer = await openPeer((response, request) => {
      if (request.url === '/v1/models') return json({ models })(response, request);
      const answer = json({ model: 'm', version: '1', predictions: [] });
      held.push(() => answer(response, request));
      // With fewer, this waits for ever.
      if (held.length === 4) for (const release of held.splice(0)) release();
    });
    const pictures = path.join(folder, 'eight');
    mkdirSync(pictures);
    for (let at = 0; at < 8; at++) writeFileSync(path.join(pictures, `${at}.jpg`), `${at}`);
    const { said } = await score('m', pictures, '--concurrency', '4', '--url', peer.url);
    expect(said).toContain('8 scored, 0 failed');
  });

  test('says if the model has changed meanwhile', async () => {
    const versions = [{ version: '1', traffic: { share: 1 }, deadlineMs: 1000 }];
    const models = versions.map((rest) => ({ name: 'm', input: { kind: 'text' }, ...rest }));
    const answer = (version: string) => json({ model: 'm', version, predictions: [] });
    const peer = await openPeer(json({ models }), answer('1'), answer('2'));
    const file = writeLines('changed.ndjson', 2);
    const { code, said } = await score('m', file, '--concurrency', '1', '--url', peer.url);
    expect([code, said]).toEqual([0, expect.stringContaining('answers are from version 2.')]);
  });

  const lines = () => writeLines('few.ndjson', 2);
  test.each([
    [
      'a model that is not served',
      () => ['nothing', lines()],
      'Expected a model that is served at',
    ],
    ['a file that is not there', () => ['faq-matcher', 'nowhere'], 'at nowhere; got none'],
    [
      'a folder without pictures',
      () => ['efficientnet-lite0', path.join(root, 'shared')],
      'found none',
    ],
    [
      'a folder for a model of texts',
      () => ['faq-matcher', path.join(root, 'test/photographs')],
      'faq-matcher takes neither pictures nor other files',
    ],
    [
      'a file of something else',
      () => ['faq-matcher', path.join(root, 'package.json')],
      'the first line is "{"',
    ],
    ['a wrong key', () => ['faq-matcher', lines(), '--key', 'nonsense'], 'SCORELINE_KEY'],
    ['no service', () => ['faq-matcher', lines(), '--url', 'http://127.0.0.1:9'], '--url'],
    [
      'an address that has something else',
      () => ['faq-matcher', lines(), '--url', `${url}/v1`],
      'Expected the address of a Scoreline service',
    ],
    ['a file of inputs for its answers', () => ['faq-matcher', lines(), '--out', lines()], '--out'],
    [
      'a file that has no answers',
      () => ['faq-matcher', lines(), '--out', path.join(root, 'package.json')],
      'Name another file',
    ],
    ['a device for its answers', () => ['faq-matcher', lines(), '--out', '/dev/null'], '--out'],
    [
      'a pipe',
      () => ['faq-matcher', '/dev/stdin'],
      'is a pipe, a device or a socket, and no file. Its lines are counted',
    ],
    ['an option that there is not', () => ['faq-matcher', lines(), '--fast'], 'Usage:'],
    ['a wrong number', () => ['faq-matcher', lines(), '--concurrency', '0'], 'from 1 to 1000'],
    ['a number that is not whole', () => ['faq-matcher', lines(), '--tries', '16.0'], 'got 16.0'],
    ['nothing', () => [], 'Usage:'],
  ])('is told of %s', async (_what, parameters, expected) => {
    const { code, out, said } = await score(...parameters());
    expect(code).toBe(1);
    expect(out).toBe('');
    expect(said).toContain(expected);
    expect(said).not.toMatch(/^\s+at /m);
  });
});

function score(...parameters: string[]): Promise<Outcome> {
  const at = parameters.includes('--url') ? [] : ['--url', url];
  return run('score', [...parameters, ...at]);
}

function run(command: string, parameters: readonly string[]): Promise<Outcome> {
  return start(command, parameters).outcome;
}

/** @param output a file descriptor for standard output, instead of reading it */
function start(command: string, parameters: readonly string[], output?: number) {
  const child = spawn(
    process.execPath,
    [path.join(root, `dist/cli/${command}.js`), ...parameters],
    {
      env: { ...environment, SCORELINE_KEY: key },
      stdio: ['ignore', output ?? 'pipe', 'pipe'],
    },
  );
  let out = '';
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  const outcome = new Promise<Outcome>((resolve) => {
    child.once('close', (code) => resolve({ code, out, said }));
  });
  return { child, outcome };
}

function writeLines(name: string, count: number, more: readonly string[] = []): string {
  const lines = Array.from({ length: count }, (_, at) =>
    JSON.stringify({ id: `question ${at}`, input: `how do I copy an object, number ${at} or so` }),
  );
  const file = path.join(folder, name);
  writeFileSync(file, [...lines, ...more].map((line) => `${line}\n`).join(''));
  return file;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into lines of any form.
function parseLines(text: string): any[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

function countLines(file: string): number {
  try {
    return readFileSync(file, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}
