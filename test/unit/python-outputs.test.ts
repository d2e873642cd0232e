import { describe, expect, test } from 'vitest';
import { manifestSchema } from '../../shared/manifest/manifest.js';
import { makeLogger } from '../../shared/process/log.js';
import type { Model } from '../../shared/registry/models.js';
import { openPython } from '../../worker/batch/network/python.js';
import { makeSampleModel, sampleManifest } from './sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const columns = [
  { name: 'fruit', datatype: 'category' },
  { name: 'count', datatype: 'number' },
];

/** Returns what a Python program without `network` is refused with. */
function refusalOf(manifest: Record<string, unknown>, heads: unknown[] = []): Promise<string> {
  const { source: _, example: __, ...sample } = sampleManifest;
  const parsed = manifestSchema.parse({ ...sample, engine: 'python', ...manifest });
  const model = { ...makeSampleModel(), manifest: parsed, heads } as Model;
  const watch = { onLost: () => undefined } as unknown as Parameters<typeof openPython>[2];
  return openPython(model, log, watch).then(
    () => 'It was opened.',
    ({ message }) => message,
  );
}

describe('a Python program whose manifest declares no network', () => {
  test('is told the outputs that its answers name, without the name of the model', async () => {
    const heads = [
      { name: 'big', output: { kind: 'classification', tensor: 'big' }, labels: [{}, {}] },
      { name: 'rent', output: { kind: 'regression', tensor: 'monthly' }, labels: [] },
    ];
    const output = { kind: 'regression', tensor: 'total' };
    const refusal = await refusalOf({ input: { kind: 'table', columns }, output }, heads);
    expect(refusal).toMatch(/^expected the manifest to declare network, since/);
    expect(refusal).toContain(
      'outputs: [{ name: "total", datatype: FP32, shape: [-1] }, { name: "big", datatype: FP32, shape: [-1, 2] }, { name: "monthly", datatype: FP32, shape: [-1] }]',
    );
  });

  test.each([
    ['regression', { kind: 'regression' }, '{ name: "value", datatype: FP32, shape: [-1] }'],
    [
      'scores',
      { kind: 'classification', labels: 'labels.txt', tensor: 'chances' },
      '{ name: "chances", datatype: FP32, shape: [-1, 5] }',
    ],
    ['tensors', { kind: 'tensors' }, '{ name: "y", datatype: FP32, shape: [-1] }'],
  ])('is told an output of %s', async (_, output, declared) => {
    const refusal = await refusalOf({ input: { kind: 'table', columns }, output });
    expect(refusal).toContain(`outputs: [${declared}] }`);
  });

  test('has to declare it if an answer is of tensors, which can have any shape', async () => {
    const heads = [{ name: 'mask', output: { kind: 'tensors', tensor: 'mask' }, labels: [] }];
    const refusal = await refusalOf({ output: { kind: 'regression' } }, heads);
    expect(refusal).toContain('outputs: [{ name: "value"');
    expect(refusal).toContain('{ name: "mask"');
  });
});
