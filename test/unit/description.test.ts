// The description of the service as a document and as a page, made from models for tests.

import { createHash } from 'node:crypto';
import { expect, describe as group, test } from 'vitest';
import { describe, writeDocument } from '../../api/description/document.js';
import type { Document } from '../../api/description/openapi.js';
import { pagePolicy, writePage } from '../../api/description/page/page.js';
import type { WebhookHost } from '../../shared/configuration/webhooks.js';
import { errorTable, ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { makeRegistry, only, type Registry } from '../../shared/registry/registry.js';
import { makeSampleModel } from './sample-model.js';

const network = {
  inputs: [{ name: 'a', datatype: 'INT64', shape: [-1, 2] }],
  outputs: [{ name: 'b', datatype: 'UINT64', shape: [-1, 2] }],
};
const tensors = { input: { kind: 'tensors' }, output: { kind: 'tensors' }, example: undefined };
const models = [
  makeSampleModel({ name: 'text', description: 'Says <script>alert(1)</script> & "more".' }),
  makeSampleModel({
    name: 'image',
    input: { kind: 'image', width: 8, height: 8, tensor: 'uint8-nhwc' },
  }),
  makeSampleModel({ ...tensors, name: 'tensors', network }),
  makeSampleModel({
    name: 'table',
    input: {
      kind: 'table',
      columns: [
        { name: 'age', datatype: 'number', missing: 'NaN' },
        { name: 'harbour', datatype: 'category', categories: ['Cork', 'Kiel'] },
      ],
    },
    output: { kind: 'regression' },
    network: {
      inputs: [
        { name: 'age', datatype: 'FP32', shape: [-1, 1] },
        { name: 'harbour', datatype: 'BYTES', shape: [-1, 1] },
      ],
      outputs: [{ name: 'price', datatype: 'FP32', shape: [-1, 1] }],
    },
    example: { input: { age: null, harbour: 'Kiel' }, expected: { value: 1 } },
  }),
];
const imageLimits = { imagePixelsMax: 1e6, imagesMax: 16, threads: 4 };

function make(
  AUTH?: ('keys' | 'oidc')[],
  {
    served = models,
    HTTPS_ONLY = false,
    WEBHOOK_HOSTS = [],
    refusals = new Map(),
  }: {
    served?: readonly Model[];
    refusals?: Registry['refusals'];
    HTTPS_ONLY?: boolean;
    WEBHOOK_HOSTS?: readonly WebhookHost[];
  } = {},
): Document {
  const configuration = { AUTH, HTTPS_ONLY, INPUTS_PER_REQUEST_MAX: 256, WEBHOOK_HOSTS };
  const service = { configuration, imageLimits, rowsMax: 256 };
  const registry = makeRegistry(served);
  registry.replace(served, { refusals });
  return describe(service, registry);
}

/** Every code of every response of a document. */
function codesOf(document: Document): Set<string> {
  return new Set(
    JSON.stringify(document)
      .match(/(?<="code":\{"enum":\[)[^\]]*/g)
      ?.flatMap((list) => JSON.parse(`[${list}]`)),
  );
}

group('the document', () => {
  test('has every error that a request can get', () => {
    const others = [
      // Their callers are gone, or they are about addresses and methods that it does not have.
      ...['client_closed', 'method_not_allowed'],
      // They end a start or a command.
      ...['configuration_invalid', 'redis_unusable', 'manifest_invalid', 'model_file_missing'],
      ...['model_file_wrong', 'memory_insufficient', 'provider_unavailable'],
      ...['download_failed', 'environment_failed'],
    ];
    const all = [
      ...codesOf(make(['keys', 'oidc'], { HTTPS_ONLY: true })),
      ...codesOf(make(undefined, { served: [] })),
    ];
    const wanted = Object.keys(errorTable).filter((code) => !others.includes(code));
    expect([...new Set(all)].toSorted()).toEqual(wanted.toSorted());
  });

  test('has no error of access where everyone gets in', () => {
    const codes = codesOf(make());
    for (const code of ['unauthenticated', 'key_unknown', 'rate_limited', 'https_required']) {
      expect(codes).not.toContain(code);
    }
  });

  test('names the operations and the forms of each model apart', () => {
    const served = [
      ['a', '1'],
      ['a', '1_2'],
      ['a_1', '1'],
      ['a_1', '2'],
      ['a_', '1'],
    ].map(([name, version]) => makeSampleModel({ ...tensors, name, version, network }));
    const { paths, components } = make(undefined, { served });
    const names = Object.entries(paths).flatMap(([path, { post }]) =>
      path.startsWith('/v2/models/') && post ? [post.operationId] : [],
    );
    // With a version each, and without one for each of three names.
    expect(new Set(names)).toHaveLength(8);
    expect(names).toHaveLength(8);
    const forms = Object.keys(components.schemas).filter((name) =>
      name.startsWith('InferRequest_'),
    );
    expect(forms).toHaveLength(5);
  });

  test('leaves the objects of answers open, for the keys of a later version', () => {
    const { schemas } = make().components;
    const isClosed = (of: (name: string) => boolean) =>
      Object.keys(schemas)
        .filter((name) => of(name.split('_')[0] ?? ''))
        .filter((name) => JSON.stringify(schemas[name]).includes('"additionalProperties":false'));
    expect(isClosed((name) => !name.endsWith('Request'))).toEqual([]);
    expect(isClosed((name) => name.endsWith('Request'))).toContain('ScoreRequest_text_1');
  });

  // With these, openapi-typescript makes types that do not compile, openapi-python-client makes nothing, and what
  // openapi-generator makes refuses the answers.
  test('has no schema that generators of clients misread', () => {
    const { components } = make();
    const { schemas } = components;
    const isUnionInside = (form: object) =>
      'properties' in form && /"anyOf":.*"properties":/.test(JSON.stringify(form.properties));
    const inside = (value: unknown, path: readonly string[]): void => {
      if (typeof value !== 'object' || value === null) return;
      for (const [key, each] of Object.entries(value)) {
        if (key === 'format') expect(value).not.toHaveProperty('pattern');
        if (key === 'anyOf') expect(each.filter(isUnionInside)).toEqual([]);
        if (key === '$ref') {
          expect(path).not.toContain(each);
          inside(schemas[String(each).replace('#/components/schemas/', '')], [...path, each]);
        } else inside(each, path);
      }
    };
    for (const name of Object.keys(schemas)) inside({ $ref: `#/components/schemas/${name}` }, []);
    expect(JSON.stringify(schemas)).toContain('"prefixItems":');
    expect(JSON.stringify(schemas)).toContain('"format":"date-time"');
    expect(JSON.stringify(schemas)).not.toMatch(/"items":false|"const":(true|false)/);
    expect(JSON.stringify(components.responses)).not.toContain('"status":{"const":');
  });

  test('has the addresses of each model, and its own forms', () => {
    const { paths, components } = make();
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining([
        ...['/v1/models/text/score', '/v1/models/text/versions/1/score'],
        ...['/v1/models/image/score', '/v2/models/tensors/infer'],
      ]),
    );
    // They are neither text nor image, and declare no network.
    expect(paths).not.toHaveProperty(['/v1/models/tensors/score']);
    expect(paths).not.toHaveProperty(['/v2/models/text/infer']);
    expect(components.schemas.ScoreRequest_text_1).toMatchObject({
      properties: { input: { type: 'string', maxLength: 20_000 }, top: { maximum: 5 } },
      required: ['input'],
    });
    expect(paths['/v1/models/text/score']?.post?.requestBody?.content).toHaveProperty(
      ['application/json', 'example', 'input'],
      'hello',
    );
  });

  test('has the columns of a table, and the number of a regression', () => {
    const { paths, components } = make();
    const { post: operation } = paths['/v1/models/table/score'] ?? {};
    expect(components.schemas.ScoreRequest_table_1?.properties).toEqual({
      input: {
        type: 'object',
        description: 'A value for each column of the table.',
        minProperties: 1,
        properties: {
          age: {
            anyOf: [
              { anyOf: [expect.objectContaining({ type: 'number' }), { type: 'boolean' }] },
              { type: 'null' },
            ],
            description: 'If it is missing or null, the network gets `NaN`.',
          },
          harbour: { type: 'string', enum: ['Cork', 'Kiel'] },
        },
        required: ['harbour'],
        additionalProperties: false,
      },
      priority: expect.anything(),
      deadlineMs: expect.any(Object),
    });
    expect(Object.keys(operation?.requestBody?.content ?? {})).toEqual([
      'application/json',
      'application/x-ndjson',
    ]);
    expect(operation?.requestBody?.content['application/json']?.example).toEqual({
      input: { age: null, harbour: 'Kiel' },
    });
    expect(JSON.stringify(operation?.parameters)).not.toContain('"top"');
    expect(components.schemas.ScoreResponse_table_1).toMatchObject({
      properties: { predictions: { maxItems: 1, items: { required: ['value'] } } },
    });
  });

  test('names no model that does not exist for the caller', () => {
    const service = {
      configuration: {
        AUTH: ['keys' as const],
        HTTPS_ONLY: false,
        INPUTS_PER_REQUEST_MAX: 256,
        WEBHOOK_HOSTS: [],
      },
      imageLimits,
      rowsMax: 1,
    };
    const text = JSON.stringify(describe(service, only(['image'], makeRegistry(models))));
    expect(text).toContain('/v1/models/image/score');
    expect(text).not.toContain('tensors/infer');
    const none = JSON.stringify(describe(service, only([], makeRegistry(models))));
    expect(none).toContain('/v1/models/{model}/score');
    expect(none).not.toMatch(/models\/(text|image|tensors)/);
  });

  test('has no address without a version for a model that answers no such requests', () => {
    const refusal = new ScorelineError('model_not_found', 'None answers.');
    const { paths } = make(undefined, { refusals: new Map([['tensors', refusal]]) });
    expect(Object.keys(paths)).toContain('/v2/models/tensors/versions/1/infer');
    expect(Object.keys(paths)).not.toContain('/v2/models/tensors/infer');
    expect(Object.keys(paths)).toContain('/v1/models/image/score');
    const enumOf = (path: string) => JSON.stringify(paths[path]?.get?.parameters);
    expect(enumOf('/v2/models/{model}')).not.toContain('"tensors"');
    expect(enumOf('/v2/models/{model}/versions/{version}')).toContain('"tensors"');
  });

  test('describes what a receiver gets, where hosts are allowed for webhooks', () => {
    const off = make();
    expect(off.webhooks).toBeUndefined();
    expect(off.components.parameters).not.toHaveProperty('WebhookUrl');
    const on = make(undefined, {
      WEBHOOK_HOSTS: [{ origin: 'https://inner.example.com', networks: [] }],
    });
    expect(on.webhooks?.jobEnded?.post?.parameters).toMatchObject([
      ...[{ name: 'webhook-id' }, { name: 'webhook-timestamp' }, { name: 'webhook-signature' }],
    ]);
    expect(on.components.parameters).toHaveProperty('WebhookUrl');
    expect(JSON.stringify(on)).not.toContain('inner.example.com');
  });

  test('describes two versions of a model at addresses of their own', () => {
    const served = [makeSampleModel({ version: 1 }), makeSampleModel({ version: 2 })];
    const { paths } = make(undefined, { served });
    const ids = Object.values(paths).flatMap(({ post, get }) =>
      [post, get].flatMap((one) => one?.operationId ?? []),
    );
    expect(new Set(ids).size).toBe(ids.length);
    expect(Object.keys(paths).filter((path) => path.includes('/sample'))).toEqual([
      '/v1/models/sample/score',
      '/v1/models/sample/versions/1/score',
      '/v1/models/sample/versions/2/score',
      '/v1/models/sample:predict',
      '/v1/models/sample/versions/1:predict',
      '/v1/models/sample/versions/2:predict',
    ]);
  });

  test.each([
    [undefined, []],
    [['keys'], ['apiKey', 'bearer']],
    [['oidc'], ['bearer']],
  ] as const)('with AUTH=%j says how to get in', (AUTH, names) => {
    const { security, components, paths } = make(AUTH && [...AUTH]);
    expect(security.flatMap(Object.keys)).toEqual(names);
    expect(Object.keys(components.securitySchemes ?? {})).toEqual(names);
    expect(paths['/v2/health/ready']?.get?.security).toEqual([]);
  });

  test('writes the limits of 64 bits exactly', () => {
    const text = writeDocument(make());
    expect(text).toContain('"minimum":-9223372036854775808,');
    expect(text).toContain('"exclusiveMaximum":18446744073709551616');
  });
});

group('the page', () => {
  const page = writePage(make(['keys']));

  test('has its style inside, which its policy allows, and no script', () => {
    const [, style = ''] = /<style>([\s\S]*?)<\/style>/.exec(page) ?? [];
    const digest = createHash('sha256').update(style).digest('base64');
    expect(pagePolicy).toContain(`style-src 'sha256-${digest}'`);
    expect(pagePolicy).toContain("default-src 'none'");
    expect(page).not.toMatch(
      /<script|\son\w+=|\sstyle=|<link(?! rel="icon" href="data:)|<img|https?:\/\//i,
    );
  });

  test('shows what manifests say as text', () => {
    expect(page).toContain('Says &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;.');
  });

  test('links to sections that are there, and to the document beside it', () => {
    const links = [...page.matchAll(/href="([^"]*)"/g)].map(([, target]) => target as string);
    const others = links.filter((target) => !/^(#|data:)/.test(target));
    expect(others).toEqual(['../', '../', '../docs', '../docs/api', '../openapi.json']);
    for (const target of links.filter((each) => each.startsWith('#'))) {
      expect(page.split(`id="${target.slice(1)}"`), target).toHaveLength(2);
    }
  });

  test('shows the columns of a table with what they may be', () => {
    expect(page).toContain('<code class="name">harbour</code>');
    expect(page).toContain('&quot;Cork&quot; or &quot;Kiel&quot;');
    expect(page).toContain('the network gets <code>NaN</code>');
  });

  test('has every code', () => {
    for (const code of Object.keys(errorTable)) expect(page).toContain(`<code>${code}</code>`);
  });
});
