import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addressesOf } from '../../api/http/routes/score-route.js';
import { writeProblemPage } from '../../api/pages/problem-page.js';
import { type Answer, readAnswer } from '../../fuzz/answer.js';
import type { Callers } from '../../fuzz/callers.js';
import type { Shot } from '../../fuzz/draft.js';
import { type Exchange, makeSender } from '../../fuzz/exchange.js';
import { makeFindFault } from '../../fuzz/judge.js';
import { makeOriginals } from '../../fuzz/originals.js';
import { isPassed, type Summary } from '../../fuzz/tally.js';
import { errorTable, ScorelineError } from '../../shared/errors.js';
import { runCommand, runSeeded } from '../command.js';
import { root } from '../harness.js';
import { listenOnFreePort } from '../peer.js';

const keyOf = (id: string) => `scl_${id.padEnd(10, '0')}_${id.repeat(40).slice(0, 36)}`;
const callers: Callers = {
  score: keyOf('score'),
  admin: keyOf('admin'),
  jobs: keyOf('jobs'),
  oneModel: keyOf('one'),
  limited: keyOf('limited'),
  expired: keyOf('expired'),
};

const findFault = makeFindFault(callers);

test('mutated requests find nothing, and the service is well afterwards', async () => {
  const parameters = ['--requests', '2500', '--seed', '7', '--clients', '16'];
  const { exitCode, said, summary } = await runSeeded<Summary>('fuzz', parameters);
  expect({ exitCode, isPassed: isPassed(summary) }, said).toEqual({ exitCode: 0, isPassed: true });
  expect(summary.requests).toBeGreaterThanOrEqual(2500);
  expect(summary.right).toBeGreaterThan(10);
  expect(Object.keys(summary.by_mutation)).toHaveLength(13);
  for (const status of ['200', '400', '401', '403', '404', '405', '415', '431']) {
    expect(summary.by_status[status], status).toBeGreaterThan(0);
  }
}, 300_000);

test('a faulty option is named', async () => {
  const { code, err } = await runCommand('fuzz', ['--seed', 'x']);
  expect(err).toBe('--seed: expected a whole number, 1 or more; got x\n');
  expect(code).toBe(1);
});

test('each route of the API is among the requests that are mutated', async () => {
  const folder = path.join(root, 'api/http/routes');
  const routes = readdirSync(folder)
    .map((name) => readFileSync(path.join(folder, name), 'utf8'))
    .flatMap((text) => {
      const pairs = [...text.matchAll(/addressesOf\('([^']+)', '([^']*)'\)/g)];
      const versioned = pairs.flatMap(([, models = '', what = '']) =>
        addressesOf(models as '/v1/models', what.replaceAll('\\', '')),
      );
      const others = text.replaceAll(/addressesOf\([^)]*\)/g, '').matchAll(/'(\/[\w/:]*)'/g);
      return [...versioned, ...[...others].map(([, route]) => route as string)];
    });
  expect(routes).toEqual(expect.arrayContaining(['/', '/score', '/v1/models/:model/score']));
  const { all } = await makeOriginals(callers);
  const missing = routes.filter((route) => {
    const form = new RegExp(`^${route.replace(/:\w+/g, '[^/]+')}(\\?|$)`);
    return !all.some(({ target }) => form.test(target));
  });
  expect(missing).toEqual([]);
});

describe('the judge of the fuzz run', () => {
  const good = `POST /score HTTP/1.1\r\nX-API-Key: ${callers.score}\r\n\r\n`;

  const shoot = (text: string, isWhole = true): Shot => ({
    ...{ kind: 'test', bytes: Buffer.from(text, 'latin1'), isWhole },
  });
  const answered = (answer: Partial<Answer>, more: Partial<Exchange> = {}): Exchange => ({
    ending: 'answered',
    answers: [{ status: 200, fields: new Map(), body: '', ...answer }],
    rest: Buffer.alloc(0),
    ...more,
  });
  const scored = (body: object) =>
    answered({
      fields: new Map([['content-type', 'application/json; charset=utf-8']]),
      body: JSON.stringify(body),
    });
  const problem = (
    code: keyof typeof errorTable,
    changed: object = {},
    fields: Record<string, string> = {},
  ) => {
    const { status, title } = errorTable[code];
    const type = `urn:scoreline:error:${code}`;
    const body = JSON.stringify({ type, title, status, code, detail: 'Expected a.', ...changed });
    const all = { 'content-type': 'application/problem+json; charset=utf-8', ...fields };
    return answered({ status, body, fields: new Map(Object.entries(all)) });
  };
  const predictions = [{ label: 'a', score: 0.5 }];

  test('finds nothing wrong with a right answer and a right refusal', () => {
    expect(findFault(shoot(good), scored({ predictions }))).toBeUndefined();
    expect(findFault(shoot(good), problem('input_invalid'))).toBeUndefined();
    const late = `POST /score?deadlineMs=1 HTTP/1.1\r\nX-API-Key: ${callers.score}\r\n\r\n`;
    expect(findFault(shoot(late), problem('deadline_exceeded'))).toBeUndefined();
    const quoting = shoot(good.replace('/score', '/node_modules/x.js'));
    const quoted = problem('not_found', { detail: 'There is no /node_modules/x.js.' });
    expect(findFault(quoting, quoted)).toBeUndefined();
  });

  test('takes the page of an error from whoever has asked for one', () => {
    const asked = `GET /v1/<x> HTTP/1.1\r\nX-API-Key: ${callers.score}\r\nAccept: text/html\r\n\r\n`;
    const page = (detail: string) => {
      const error = new ScorelineError('not_found', detail);
      const body = writeProblemPage(error, { path: '/v1/x', requestId: 'a' });
      const fields = new Map([['content-type', 'text/html; charset=utf-8']]);
      return answered({ status: 404, fields, body });
    };
    expect(findFault(shoot(asked), page('There is no "/v1/<x>".'))).toBeUndefined();
    expect(findFault(shoot(good), page('There is none.'))).toContain('no problem document');
    expect(findFault(shoot(asked), page('Failed at /app/dist/main.js.'))).toContain('the inside');
    const other = { ...page('There is none.').answers[0], status: 403 };
    expect(findFault(shoot(asked), answered(other))).toContain('do not belong together');
  });

  test('knows the chapters of the docs, which may name any model', () => {
    const chapter = (start: string) => {
      const fields = new Map([['content-type', 'text/html; charset=utf-8']]);
      return answered({ fields, body: `${start}>efficientnet-lite0` });
    };
    const asked = shoot('GET /docs HTTP/1.1\r\n\r\n');
    expect(findFault(asked, chapter('<!doctype html>\n<html lang="en" data-docs="docs/"'))).toBe(
      undefined,
    );
    expect(findFault(asked, chapter('<!doctype html>\n<html'))).toContain('may not know');
  });

  test.each<[fault: string, sent: string, got: Exchange]>([
    ['an answer without a valid key', 'POST /score HTTP/1.1\r\n\r\n', scored({ predictions })],
    [
      'an answer without a valid key',
      `POST /score HTTP/1.1\r\nX-API-Key: ${callers.expired}\r\n\r\n`,
      scored({ predictions }),
    ],
    [
      'a model that the caller may not know',
      `GET /v1/models HTTP/1.1\r\nX-API-Key: ${callers.oneModel}\r\n\r\n`,
      scored({ models: [{ name: 'efficientnet-lite0' }] }),
    ],
    ['no scores from 0 to 1', good, scored({ predictions: [{ label: 'a', score: null }] })],
    ['a failure of the service', good, problem('internal_error')],
    ['a failure of the service', good, problem('deadline_exceeded')],
    ['no room under a load that is low', good, problem('overloaded', {}, { 'retry-after': '1' })],
    ['no Retry-After', good, problem('overloaded')],
    ['no WWW-Authenticate', good, problem('key_unknown')],
    ['no Allow', good, problem('method_not_allowed')],
    ['no problem document', good, answered({ status: 400 })],
    ['other members', good, problem('input_invalid', { stack: 'a' })],
    ['do not belong together', good, problem('input_invalid', { code: 'input_missing' })],
    ['do not belong together', good, problem('input_invalid', { code: 'toString' })],
    ['a detail that is no sentence', good, problem('input_invalid', { detail: 'oops' })],
    ['the inside', good, problem('input_invalid', { detail: 'Failed at /app/dist/api/main.js.' })],
    ['the inside', good, problem('input_invalid', { detail: 'VipsJpeg: premature end.' })],
    ['a credential', good, problem('input_invalid', { detail: `Got ${callers.score}.` })],
    [
      'a credential',
      'GET / HTTP/1.1\r\nAuthorization: Bearer scl_wrong-but-perhaps-nearly-right\r\n\r\n',
      problem(
        'key_malformed',
        { detail: 'Got scl_wrong-but-perhaps-nearly-right.' },
        {
          'www-authenticate': 'Bearer',
        },
      ),
    ],
    ['a name of software', good, answered({ fields: new Map([['server', 'x']]) })],
    ['a status that', good, answered({ status: 418 })],
    ['bytes after the answer', good, { ...scored({ predictions }), rest: Buffer.from('x') }],
    ['no answer', good, answered({}, { ending: 'closed', answers: [] })],
    ['stays open', good, answered({}, { ending: 'silent', answers: [] })],
    ['no connection', good, answered({}, { ending: 'unreachable', answers: [] })],
  ])('finds: %s', (fault, sent, got) => {
    expect(findFault(shoot(sent), got)).toContain(fault);
  });

  test('lets a server cut off an answer of lines to a request that is no HTTP behind its head', () => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n';
    const cut = answered({}, { ending: 'closed', answers: [], rest: Buffer.from(head) });
    expect(findFault(shoot(good, false), cut)).toBeUndefined();
    expect(findFault(shoot(good), cut)).toContain('cut off');
  });

  test('lets a server close the connection of a request that is no HTTP', () => {
    const closed = answered({}, { ending: 'closed', answers: [] });
    expect(findFault(shoot('nonsense', false), closed)).toBeUndefined();
  });
});

describe('a client of the fuzz run', () => {
  const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const type = 'application/problem+json; charset=utf-8';
  const { title } = errorTable.not_found;
  const problem = { code: 'not_found', detail: 'Expected a.', status: 404, title };
  const refusal: Answer = {
    status: 404,
    fields: new Map([['content-type', type]]),
    body: JSON.stringify({ ...problem, type: 'urn:scoreline:error:not_found' }),
  };
  const get = { kind: 'test', bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n'), isWhole: true };

  /** Opens a server that does this with each connection that has sent something. */
  async function openSender(answer: (socket: Socket) => void) {
    const server = createServer((socket) => {
      socket.on('error', () => {}).on('data', () => answer(socket));
    });
    const sender = makeSender({ host: '127.0.0.1', port: await listenOnFreePort(server) });
    onTestFinished(() => sender.close());
    return sender;
  }

  test('reads an answer, whatever pieces it comes in', async () => {
    const sender = await openSender((socket) => {
      socket.write(ok.slice(0, 20));
      setImmediate(() => socket.write(ok.slice(20)));
    });
    for (let time = 0; time < 2; time++) {
      const { ending, answers } = await sender.send(get);
      expect([ending, answers.length, answers[0]?.body]).toEqual(['answered', 1, 'ok']);
    }
  });

  test('reads all answers to a request that is no HTTP', async () => {
    const sender = await openSender((socket) => socket.end(ok + ok));
    const { ending, answers } = await sender.send({ ...get, isWhole: false });
    expect([ending, answers.length]).toEqual(['closed', 2]);
  });

  test.each([
    ['closed', (socket: Socket) => void socket.destroy()],
    ['garbled', (socket: Socket) => void socket.write('nonsense\r\n\r\n')],
  ])('says that a connection was %s', async (ending, answer) => {
    const sender = await openSender(answer);
    expect((await sender.send(get)).ending).toBe(ending);
  });

  test('notices a second answer', async () => {
    const sender = await openSender((socket) => socket.write(ok + ok));
    const exchange = await sender.send(get);
    expect(exchange.answers).toHaveLength(2);
    expect(findFault(get, { ...exchange, answers: exchange.answers.map(() => refusal) })).toBe(
      'two answers to one request',
    );
  });

  test('skips what only announces an answer', () => {
    const bytes = Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${ok}`);
    expect(readAnswer(bytes, { toHead: false })?.answer.status).toBe(200);
    expect(readAnswer(bytes.subarray(0, -1), { toHead: false })).toBeUndefined();
  });
});
