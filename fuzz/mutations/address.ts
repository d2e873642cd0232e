// Mutations of what a request asks for: its path, its query and its method.

import { METHODS } from 'node:http';
import fc, { type Arbitrary } from 'fast-check';
import type { Draft } from '../draft.js';
import { asBytes } from '../draft.js';
import { editText, oddTexts } from './edits.js';

const names = ['faq-matcher', 'efficientnet-lite0', 'resnet152', '1', '2', 'nothing', '..', '.'];
const segments = [
  ...['v1', 'v2', 'v3', 'models', 'versions', 'score', 'health', 'live', 'ready', 'infer', 'jobs'],
  ...['version', 'metrics', 'openapi.json', 'favicon.ico', '.env', '.git', 'etc', 'passwd', ''],
];
const parameters = [
  'model',
  'top',
  'deadlineMs',
  'model[]',
  'model[name]',
  '__proto__',
  'X-API-Key',
];

// Arbitraries take longer to make than to draw from, so those that depend on nothing are made once.
const segment = fc.oneof(fc.constantFrom(...segments), fc.constantFrom(...names), oddTexts);
const built = fc.array(segment, { maxLength: 7 }).map((all) => `/${all.join('/')}`);
const absolute = fc.constantFrom('*', 'http://a/score', 'http://127.0.0.1/', '//a/v1/models');
const queries = makeQueries();
const methods = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...METHODS) },
  fc.constantFrom('post', 'Get', 'FETCH', 'POST POST', '', 'PRI', 'G\0T', 'POST,GET'),
  fc.stringMatching(/^[A-Z!#$%&'*+.^_`|~-]{1,20}$/),
);

/** A line break would end the request line, which is for the mutations of HTTP itself. */
const inLine = (text: string) => asBytes(text.replace(/[\r\n ]/g, '%20'));

export function mutatePath(draft: Draft): Arbitrary<Draft> {
  return fc
    .oneof(
      { weight: 5, arbitrary: editText(draft.target) },
      { weight: 4, arbitrary: built },
      { weight: 2, arbitrary: fc.mixedCase(fc.constant(draft.target)) },
      absolute,
    )
    .map((target) => ({ ...draft, target: inLine(target) || '/' }));
}

export function mutateQuery(draft: Draft): Arbitrary<Draft> {
  const [path = ''] = draft.target.split('?');
  return queries.map((query) => ({ ...draft, target: inLine(`${path}?${query}`) }));
}

export function mutateMethod(draft: Draft): Arbitrary<Draft> {
  return methods.map((method) => ({ ...draft, method }));
}

function makeQueries(): Arbitrary<string> {
  const name = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...parameters) }, oddTexts);
  const value = fc.oneof(
    fc.constantFrom(...names),
    fc.oneof(fc.integer(), fc.double()).map(String),
    oddTexts,
    fc.webQueryParameters({ size: 'small' }),
  );
  const pair = fc.tuple(name, value, fc.boolean()).map(([left, right, isEncoded]) => {
    if (!isEncoded) return `${left}=${right}`;
    return new URLSearchParams({ [left]: right }).toString();
  });
  const join = (pairs: readonly string[]) => pairs.join('&');
  return fc.oneof(
    { weight: 8, arbitrary: fc.array(pair, { minLength: 1, maxLength: 5 }).map(join) },
    { weight: 1, arbitrary: fc.array(pair, { minLength: 30, maxLength: 60 }).map(join) },
    { weight: 4, arbitrary: oddTexts },
  );
}
