import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { root } from '../harness.js';
import { hasPython, requirements } from '../python.js';

/** What numpy uses of a processor beyond the oldest that it runs on. A name it does not know does no harm. */
const vectorInstructions = 'AVX512_SPR AVX512_ICL X86_V4 X86_V3';

function runPython(parameters: readonly string[], environment: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['dist/cli/python.js', requirements, ...parameters],
    { cwd: root, encoding: 'utf8', env: { ...process.env, ...environment } },
  );
  return { status, output: stdout + stderr };
}

// Only training needs Python 3.11. Users of the trained model may not have it.
const processors: [string, Record<string, string>][] = [
  ['this processor', {}],
  ['one without vector instructions', { NPY_DISABLE_CPU_FEATURES: vectorInstructions }],
];

describe.skipIf(!hasPython)('training the breast-cancer model (needs Python 3.11)', () => {
  test.each(processors)(
    'reproduces the committed files on %s',
    { timeout: 600_000 },
    (_, environment) => {
      const check = ['models/breast-cancer/train.py', '--check'];
      const { status, output } = runPython(check, environment);
      expect(output).toContain('model.onnx: the same bytes');
      expect(output).toContain('check passed');
      expect(status).toBe(0);
    },
  );
});

describe.skipIf(!hasPython)('training the FAQ matcher (needs Python 3.11)', () => {
  test.each(processors)(
    'reproduces the committed metrics and predictions on %s',
    { timeout: 600_000 },
    (_, environment) => {
      const check = ['models/faq-matcher/train.py', '--check', '--skip-reference'];
      const { status, output } = runPython(check, environment);
      expect(output).toContain('check passed');
      expect(status).toBe(0);
    },
  );

  test('reads the reference files from folders and servers', { timeout: 300_000 }, () => {
    const { status, output } = runPython(['models/faq-matcher/test_train.py']);
    expect(output).toMatch(/Ran [1-9]\d* tests/);
    expect(output).toMatch(/^OK/m);
    expect(status).toBe(0);
  });
});
