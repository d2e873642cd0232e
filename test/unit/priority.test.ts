import { describe, expect, test } from 'vitest';
import { readPriority } from '../../api/http/parameters/priority.js';

const read = (query = {}, header?: string) =>
  readPriority({ headers: header === undefined ? {} : { 'x-priority': header } }, query);

describe('the priority of a request', () => {
  test('is undefined if it asks for none', () => {
    expect(read()).toBeUndefined();
  });

  test.each(['interactive', 'bulk'])('is read from query and header: %s', (priority) => {
    expect(read({ priority })).toBe(priority);
    expect(read({}, priority)).toBe(priority);
  });

  test('is that of the query if both say one', () => {
    expect(read({ priority: 'interactive' }, 'bulk')).toBe('interactive');
  });

  test('is not read from the header that browsers set by themselves', () => {
    expect(readPriority({ headers: { priority: 'u=1, i' } }, {})).toBeUndefined();
  });

  test.each(['', 'Bulk', 'high', '1', 'bulk, bulk', ['bulk', 'bulk'], true])(
    'is refused if it is unknown: %j',
    (priority) => {
      const expected = /Expected priority to be interactive or bulk; got /;
      expect(() => read({ priority })).toThrow(expected);
    },
  );

  test('is refused if that of the header is unknown, although the query has one', () => {
    expect(() => read({ priority: 'bulk' }, 'high')).toThrow(/^Expected X-Priority/);
  });

  test('of a header that is unknown is refused by the name of the header', () => {
    expect(() => read({}, 'high')).toThrow(
      'Expected X-Priority to be interactive or bulk; got "high".',
    );
  });
});
