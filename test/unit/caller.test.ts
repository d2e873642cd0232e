import { describe, expect, test } from 'vitest';
import { anyone, type Caller, catalogueOf, nobody, requireScope } from '../../api/access/caller.js';
import { type CredentialHeaders, readCredential } from '../../api/access/credential.js';
import { Pace } from '../../api/access/pace.js';
import { ScorelineError } from '../../shared/errors.js';
import { makeRegistry } from '../../shared/registry/registry.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const caller = (changes: Partial<Caller>): Caller => ({
  id: 'key:a',
  name: 'billing',
  scopes: ['score'],
  ...changes,
});

describe('a scope', () => {
  test('is needed, and admin has all of them', () => {
    requireScope(caller({}), 'score');
    requireScope(caller({ scopes: ['jobs'] }), 'score', 'jobs');
    requireScope(caller({ scopes: ['admin'] }), 'jobs');
    requireScope(anyone, 'admin');
  });

  test.each([
    [caller({}), 'admin', 'billing has score'],
    [caller({ scopes: ['score', 'jobs'] }), 'admin', 'billing has score, jobs'],
    [caller({ scopes: ['jobs'] }), 'score', 'billing has jobs'],
    [caller({ scopes: [] }), 'score', 'billing has none'],
    [nobody, 'score', 'nobody has none'],
  ] as const)('that is missing is named (%#)', (who, scope, has) => {
    const error = errorOf(() => requireScope(who, scope));
    expect(error.code).toBe('scope_missing');
    const wanted = scope === 'admin' ? 'admin' : `${scope} or admin`;
    expect(error.message).toContain(`with the scope ${wanted};`);
    expect(error.message).toContain(has);
  });
});

test('only the models that a caller may use exist for it', () => {
  const error = new ScorelineError('model_file_missing', 'It is gone.');
  const registry = makeRegistry(
    ['a', 'b', 'c'].map((name) => makeSampleModel({ name })),
    ['lost', 'gone'].map((name) => ({ name, error })),
  );
  const known = (who: Caller) => {
    const { models, leftOut } = catalogueOf(who, registry);
    return [...models, ...leftOut].map(({ name }) => name);
  };
  const some = caller({ models: ['lost', 'c', 'a'] });
  expect(known(caller({}))).toEqual(['a', 'b', 'c', 'lost', 'gone']);
  expect(known(some)).toEqual(['a', 'c', 'lost']);
  expect(known(caller({ models: ['z'] }))).toEqual([]);
  expect(known(nobody)).toEqual([]);

  const { find } = catalogueOf(some, registry);
  const reasonOf = (name: string) => errorOf(() => find(name)).message.replace(name, 'MODEL');
  expect(find('a').name).toBe('a');
  expect(reasonOf('lost')).toContain('is not served');
  for (const hidden of ['b', 'gone']) expect(reasonOf(hidden)).toBe(reasonOf('none'));
});

describe('a credential', () => {
  test.each<[CredentialHeaders, string, string]>([
    [{ authorization: 'Bearer scl_x' }, 'key', 'scl_x'],
    [{ authorization: 'bearer   scl_x ' }, 'key', 'scl_x'],
    [{ authorization: 'Bearer eyJ.x.y' }, 'token', 'eyJ.x.y'],
    [{ 'x-api-key': 'scl_x' }, 'key', 'scl_x'],
    [{ 'x-api-key': 'other' }, 'key', 'other'],
    [{ authorization: 'Basic abc', 'x-api-key': 'scl_x' }, 'key', 'scl_x'],
  ])('is read from %j', (headers, kind, text) => {
    expect(readCredential(headers)).toEqual({ kind, text });
  });

  test.each<[CredentialHeaders, string]>([
    [{}, 'neither'],
    [{ authorization: '' }, 'another form'],
    [{ authorization: 'Basic c2VjcmV0' }, 'another form'],
    [{ authorization: 'Bearer' }, 'another form'],
    [{ authorization: 'Bearer one two' }, 'another form'],
    [{ authorization: 'scl_secret' }, 'another form'],
    [{ authorization: 'Bearer scl_secret', 'x-api-key': 'scl_secret' }, 'both'],
    [{ 'x-api-key': 'scl_secret, scl_secret' }, 'several'],
  ])('is missing in %j', (headers, got) => {
    const error = errorOf(() => readCredential(headers));
    expect(error.code).toBe('unauthenticated');
    expect(error.message).toContain(`got ${got}`);
    expect(error.message).not.toMatch(/secret|c2Vj/);
  });
});

describe('the pace of refusals', () => {
  test('lets a burst through at once, then makes each wait for its turn, a second at most', () => {
    let now = 0;
    const pace = new Pace(() => now);
    const delays = Array.from({ length: 400 }, () => pace.next());
    expect(delays.slice(0, 51).every((ms) => ms === 0)).toBe(true);
    expect(delays.slice(51, 54)).toEqual([5, 10, 15]);
    expect(Math.max(...delays)).toBe(1000);
    now += 1000;
    expect(pace.next()).toBeLessThanOrEqual(10);
    now += 10_000;
    expect(pace.next()).toBe(0);
  });

  test('never makes refusals wait that come slower', () => {
    let now = 0;
    const pace = new Pace(() => now);
    for (let count = 0; count < 1000; count++) {
      now += 5;
      expect(pace.next()).toBe(0);
    }
  });
});
