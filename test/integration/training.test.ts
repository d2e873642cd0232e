import { describe, expect, test } from 'vitest';
import { runCommand } from '../command.js';
import { hasPython, requirements } from '../python.js';

/** What numpy uses of a processor beyond the oldest that it runs on. A name it does not know does no harm. */
const vectorInstructions = 'AVX512_SPR AVX512_ICL X86_V4 X86_V3';

async function runPython(parameters: readonly string[], env: Record<string, string> = {}) {
  const { code, out, err } = await runCommand('python', [requirements, ...parameters], { env });
  return { code, output: out + err };
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
    async (_, environment) => {
      const check = ['models/breast-cancer/train.py', '--check'];
      const { code, output } = await runPython(check, environment);
      expect(output).toContain('model.onnx: the same bytes');
      expect(output).toContain('check passed');
      expect(code).toBe(0);
    },
  );
});

describe.skipIf(!hasPython)('training the FAQ matcher (needs Python 3.11)', () => {
  test.each(processors)(
    'reproduces the committed metrics and predictions on %s',
    { timeout: 600_000 },
    async (_, environment) => {
      const check = ['models/faq-matcher/train.py', '--check', '--skip-reference'];
      const { code, output } = await runPython(check, environment);
      expect(output).toContain('check passed');
      expect(code).toBe(0);
    },
  );

  test('reads the reference files from folders and servers', { timeout: 300_000 }, async () => {
    const { code, output } = await runPython(['models/faq-matcher/test_train.py']);
    expect(output).toMatch(/Ran [1-9]\d* tests/);
    expect(output).toMatch(/^OK/m);
    expect(code).toBe(0);
  });
});
