// Tests how `npm run score` passes JSON on.

import { expect, test } from 'vitest';
import { parseAsWritten, writeAsWritten } from '../../cli/scoring/as-written.js';

test.each([
  '{"1":"2 \\" 3","a":-0,"b":12345678901234567890,"c":[1.50,2E+3,-1e-9,0],"\\\\":4}',
  '["\\\\",5,"\\\\\\"6",7,"",{"":8}]',
  '{"b":1,"10":3,"9":{"-1":4,"2":5,"01":"7","4294967295":"8:"},"a":["1","0"]}',
  '1.0',
])('numbers, keys and strings stay as they are written: %s', (text) => {
  expect(writeAsWritten(parseAsWritten(text))).toBe(text);
});

test('a string may be as long as a request, such as a file in base64', () => {
  const text = `{"input":"${'x'.repeat(12_000_000)}","top":5}`;
  expect(writeAsWritten(parseAsWritten(text)) === text).toBe(true);
});
