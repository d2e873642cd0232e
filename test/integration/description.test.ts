// Tests how the description is served: to whom, with which headers, and whether it has every route.

import { describe, expect, test } from 'vitest';
import type { Access } from '../../api/access/access.js';
import type { Caller } from '../../api/access/caller.js';
import { showsCredential } from '../../api/access/credential.js';
import { ScorelineError } from '../../shared/errors.js';
import { ask, post } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { imageModel, openScene, textModel } from './http-scene.js';

const columns = Array.from({ length: 30 }, (_, index) => `column ${index}`);
const tableModel = (name: string) =>
  makeSampleModel({
    name,
    input: { kind: 'table', columns: columns.map((each) => ({ name: each, datatype: 'number' })) },
    output: { kind: 'regression' },
    example: undefined,
  });
const pages = ['/openapi.json', '/docs/api'];

describe('the description', () => {
  test('is a document, for tools', async () => {
    const { url } = await openScene({ models: [textModel, imageModel] });
    const { status, headers, body } = await ask(`${url}/openapi.json`);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none';frame-ancestors 'none'",
    );
    expect(body).toMatchObject({ openapi: '3.1.1', servers: [{ url: '.' }] });
    expect(Object.keys(body.paths)).toContain('/v1/models/image/score');
  });

  test('is a page, whose policy allows its style and nothing else', async () => {
    const { url } = await openScene();
    const { status, headers, body } = await ask(`${url}/docs/api`);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(body).toMatch(/^<!doctype html>/);
  });

  test.each(pages)('%s is compressed, has a head, and takes no other method', async (path) => {
    const { url } = await openScene();
    const accept = { 'accept-encoding': 'gzip' };
    const packed = await fetch(url + path, { headers: accept });
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect((await packed.text()).length).toBeGreaterThan(10_000);
    const head = await fetch(url + path, { method: 'HEAD', headers: accept });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const other = await post(url + path, {});
    expect(other).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } });
    expect(other.headers.get('allow')).toBe('GET, HEAD');
  });

  test('of many models is written while others are answered', async () => {
    const models = Array.from({ length: 64 }, (_, index) => tableModel(`table-${index}`));
    const { url } = await openScene({ models });
    const before = performance.eventLoopUtilization();
    const document = await fetch(`${url}/openapi.json`);
    await document.arrayBuffer();
    expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.5);
  });

  test.each(pages)('%s is that of the models as they are now', async (path) => {
    const models = ['First.', 'Then.'].map((description) => makeSampleModel({ description }));
    expect(models[0]?.queue).toBe(models[1]?.queue);
    const { url, registry } = await openScene({ models: models.slice(0, 1) });
    const read = async () => (await fetch(url + path)).text();
    expect(await read()).toContain('First.');
    registry.replace(models.slice(1));
    expect(await read()).toContain('Then.');
  });

  test('has every route of the application, and no other', async () => {
    const scene = await openScene({ models: [] });
    const { body } = await ask(`${scene.url}/openapi.json`);
    const described = Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path}`),
    );
    expect(described.toSorted()).toEqual(
      routesOf(scene.express.router as unknown as Router).toSorted(),
    );
  });

  describe('where callers show a key', () => {
    const caller: Caller = { id: 'c', name: 'c', scopes: ['score'], models: ['image'] };
    const access: Omit<Access, 'close'> = {
      identify: (headers) => {
        if (headers['x-api-key'] === 'right') return caller;
        throw new ScorelineError('key_unknown', 'Expected another key.');
      },
      isStranger: (headers) => !showsCredential(headers),
      limits: {
        admit: () => undefined,
        fieldsOf: () => ({ 'RateLimit-Policy': '', RateLimit: '' }),
      },
      delayMs: () => 0,
    };
    const open = () =>
      openScene({ models: [textModel, imageModel], access, configuration: { AUTH: ['keys'] } });

    test.each(pages)('%s names to a caller the models that exist for it', async (path) => {
      const { url } = await open();
      const { status, body } = await ask(url + path, { headers: { 'x-api-key': 'right' } });
      expect(status).toBe(200);
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      expect(text).toMatch(/models\/(<wbr>)?image\//);
      expect(text).not.toMatch(/models\/(<wbr>)?text\//);
    });

    test.each(pages)('%s names no model to others, and refuses a wrong key', async (path) => {
      const { url } = await open();
      const { status, body } = await ask(url + path);
      expect(status).toBe(200);
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      expect(text).toContain('{model}');
      expect(text).not.toMatch(/models\/(<wbr>)?(image|text)/);
      const wrong = await ask(url + path, { headers: { authorization: 'Bearer wrong' } });
      expect(wrong).toMatchObject({ status: 401, body: { code: 'key_unknown' } });
      // Another scheme of Authorization may be there for a proxy.
      const basic = await ask(url + path, { headers: { authorization: 'Basic eDp5' } });
      expect(basic.status).toBe(200);
    });
  });
});

test.each([[{ ready: 'yes' }], [{ ready: null }], [[]]])(
  'the index of the repository does not take %j for no filter',
  async (body) => {
    const { url } = await openScene();
    const answer = await post(`${url}/v2/repository/index`, body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'input_invalid' } });
  },
);

/** The addresses of an Express application, as OpenAPI writes them. Those that refuse methods are left out. */
function routesOf({ stack }: Router): string[] {
  return stack.flatMap(({ route }) => {
    if (!route) return [];
    const methods = ['get', 'post', 'delete'].filter((method) => route.methods[method]);
    if (methods.length !== 1) return [];
    const paths = [route.path].flat().map((path) => path.replace(/(?<!\\):(\w+)/g, '{$1}'));
    const written = paths.map((path) => path.replaceAll('\\', ''));
    return written.map((path) => `${methods[0]} ${path}`);
  });
}

interface Router {
  readonly stack: readonly {
    readonly route?: {
      readonly path: string | readonly string[];
      readonly methods: Readonly<Record<string, boolean>>;
    };
  }[];
}
