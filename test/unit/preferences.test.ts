import { describe, expect, test } from 'vitest';
import { readPreferences } from '../../api/http/parameters/preferences.js';

const read = (prefer?: string, query = {}) => readPreferences({ headers: { prefer } }, query);

describe('preferences', () => {
  test.each([
    ['respond-async', 0, 'respond-async'],
    ['Respond-Async', 0, 'respond-async'],
    ['wait=10', 10_000, 'wait=10'],
    ['wait="10"', 10_000, 'wait=10'],
    ['wait = 0', 0, 'wait=0'],
    ['return=minimal, respond-async; x=1, wait=5', 5000, 'respond-async, wait=5'],
    ['wait=1, wait=2', 1000, 'wait=1'],
    ['wait=3600', 60_000, 'wait=60'],
    ['wait=99999999999999999999', 60_000, 'wait=60'],
    ['x="a, wait=1, \\", y", wait=2', 2000, 'wait=2'],
  ])('of "%s" are followed', (prefer, waitMs, applied) => {
    expect(read(prefer)).toEqual({ waitMs, applied });
  });

  test.each([
    ...[undefined, '', 'return=minimal', 'handling=lenient, x'],
    ...['x="a, respond-async, b"', 'x="a, wait=b, c"', 'x="a; b, respond-async"; y'],
  ])('of "%s" leave the answer as it is', (prefer) => {
    expect(read(prefer)).toBeUndefined();
  });

  test.each(['wait', 'wait=', 'wait=x', 'wait=-1', 'wait=1.5', 'wait=1e3', 'wait=0x10'])(
    'of "%s" are refused',
    (prefer) => {
      expect(() => read(prefer)).toThrow(/wait in Prefer to be a whole number of seconds/);
    },
  );

  test.each([
    [{ async: '' }, 0],
    [{ async: 'true' }, 0],
    [{ async: '1' }, 0],
  ])('of the query %j are followed', (query, waitMs) => {
    expect(read(undefined, query)).toEqual({ waitMs, applied: 'respond-async' });
    expect(read('wait=2', query)).toEqual({ waitMs: 2000, applied: 'respond-async, wait=2' });
  });

  test.each([{ async: 'false' }, { async: '0' }, {}])('of the query %j are none', (query) => {
    expect(read(undefined, query)).toBeUndefined();
  });

  test.each([{ async: 'yes' }, { async: ['', ''] }])('of the query %j are refused', (query) => {
    expect(() => read(undefined, query)).toThrow(/\?async=true or \?async=false/);
  });
});
