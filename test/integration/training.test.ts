import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { root } from '../harness.js';

const requirements = 'models/faq-matcher/requirements.txt';
const hasPython = ['python3.11', 'python3'].some((name) => {
  const { stdout } = spawnSync(name, ['-c', 'import sys, ensurepip; print(sys.version_info[:2])']);
  return stdout?.toString().trim() === '(3, 11)';
});

function runPython(...parameters: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['cli/python.mjs', requirements, ...parameters],
    { cwd: root, encoding: 'utf8' },
  );
  return { status, output: stdout + stderr };
}

// Only training needs Python 3.11. Users of the trained model may not have it.
describe.skipIf(!hasPython)('training the FAQ matcher (needs Python 3.11)', () => {
  test('reproduces the committed metrics and predictions', { timeout: 600_000 }, () => {
    const { status, output } = runPython(
      'models/faq-matcher/train.py',
      '--check',
      '--skip-reference',
    );
    expect(output).toContain('check passed');
    expect(status).toBe(0);
  });

  test('reads the reference files from folders and servers', { timeout: 300_000 }, () => {
    const { status, output } = runPython('models/faq-matcher/test_train.py');
    expect(output).toMatch(/Ran [1-9]\d* tests/);
    expect(output).toMatch(/^OK/m);
    expect(status).toBe(0);
  });
});
