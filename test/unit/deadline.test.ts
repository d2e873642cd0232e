import { expect, test } from 'vitest';
import { deadlineExceeded } from '../../api/call/deadline.js';

test.each([
  ['receiving', /body had not arrived/],
  ['preparing', /image had not been decoded/],
  ['scoring', /workers are busy or have not started/],
] as const)('a deadline that passes while %s is explained by that', (phase, reason) => {
  const { code, message } = deadlineExceeded(phase);
  expect(code).toBe('deadline_exceeded');
  expect(message).toMatch(/^Expected .*\.$/);
  expect(message).toMatch(reason);
  expect(/worker/.test(message)).toBe(phase === 'scoring');
});
