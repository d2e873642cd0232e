// Without `--fail`, curl succeeds whatever the status of the answer is. The walk through the pages adds it everywhere, so
// it does not see where it is missing.

import { expect, test } from 'vitest';
import { listPages, readSnippets } from '../snippets.js';

/** A command whose success decides what comes next. */
const deciding = /(?:\b(?:if|while|until)\s+(?:!\s*)?curl\b.*|\bcurl\b[^|;]*(?:\|\||&&).*)$/;
const failing = /\bcurl\b.*\s(?:-[a-zA-Z]*f[a-zA-Z]*|--fail\S*)(?:\s|$)/;

const isBlind = (line: string) => deciding.test(line) && !failing.test(line);

test('the reader of commands tells where a status goes unseen', () => {
  expect(isBlind('curl -s -X DELETE host/a || echo gone')).toBe(true);
  expect(isBlind('until curl -s host/ready; do sleep 1; done')).toBe(true);
  expect(isBlind('curl -sf -X DELETE host/a || echo gone')).toBe(false);
  expect(isBlind('curl -s host/a | head -1')).toBe(false);
});

test('a curl whose success decides what comes next fails at an error of the service', () => {
  const blind = listPages().flatMap((page) =>
    readSnippets(page)
      .filter(({ language }) => language === 'sh')
      .flatMap(({ place, code }) =>
        code
          .replaceAll('\\\n', ' ')
          .split('\n')
          .filter(isBlind)
          .map((line) => `${place}: ${line}`),
      ),
  );
  expect(blind).toEqual([]);
});
