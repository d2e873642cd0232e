import { describe, expect, test } from 'vitest';
import { readHeads } from '../../shared/manifest/heads.js';
import { readLabels } from '../../shared/manifest/labels.js';
import { manifestSchema } from '../../shared/manifest/manifest.js';
import { mapScores } from '../../shared/tensors/scores.js';
import { makeRank } from '../../worker/batch/outputs/rank.js';
import { findScores } from '../../worker/batch/outputs/score-output.js';
import { errorOf, makeFolder, sampleLabels, sampleManifest } from './sample-model.js';

type Options = Parameters<typeof makeRank>[0];

function rank(options: Options, row: readonly number[], top: number): [number, number][] {
  const outputs = makeRank(options)(Float32Array.from(row), top);
  if (!outputs) throw new Error('Expected scores.');
  return mapScores(outputs, (index, score) => [index, score]);
}

const logit = (probability: number) => Math.log(probability / (1 - probability));

describe('the classes of an input that can have several', () => {
  test('have the probabilities of a sigmoid, the likeliest first', () => {
    const ranked = rank({ classes: 3, activation: 'sigmoid' }, [0.2, 0.9, 0.6].map(logit), 3);
    expect(ranked.map(([index]) => index)).toEqual([1, 2, 0]);
    expect(ranked[0]?.[1]).toBeCloseTo(0.9, 6);
    expect(ranked[2]?.[1]).toBeCloseTo(0.2, 6);
  });

  test('of extreme logits have 0 and 1', () => {
    const ranked = rank({ classes: 2, activation: 'sigmoid' }, [-1000, 1000], 2);
    expect(ranked).toEqual([
      [1, 1],
      [0, 0],
    ]);
  });

  test('are those that have the threshold', () => {
    const options = { classes: 4, activation: 'none', threshold: 0.7 } as const;
    expect(rank(options, [0.1, 0.9, 0.7, 0.69], 4).map(([index]) => index)).toEqual([1, 2]);
    expect(rank(options, [0.1, 0.2, 0.3, 0.4], 4)).toEqual([]);
    expect(rank(options, [0.8, 0.9, 0.95, 1], 2).map(([index]) => index)).toEqual([3, 2]);
  });

  test('may each have a threshold of their own, before the best are chosen', () => {
    const threshold = [0.9, 0.05, 0.9, 0.3];
    const options = { classes: 4, activation: 'none', threshold } as const;
    expect(rank(options, [0.8, 0.1, 0.7, 0.35], 2).map(([index]) => index)).toEqual([3, 1]);
    expect(rank(options, [0.8, 0.1, 0.7, 0.35], 1).map(([index]) => index)).toEqual([3]);
  });

  test('are none if a score is no number', () => {
    const rankRow = makeRank({ classes: 2, activation: 'sigmoid', threshold: 0.5 });
    expect(rankRow(Float32Array.of(1, Number.NaN), 2)).toBeUndefined();
  });
});

describe('a single score for two classes', () => {
  test('is that of the second', () => {
    const options = { classes: 2, activation: 'sigmoid', isBinary: true } as const;
    const [best, other] = rank(options, [logit(0.8)], 2);
    expect(best?.[0]).toBe(1);
    expect(best?.[1]).toBeCloseTo(0.8, 6);
    expect(other?.[0]).toBe(0);
    expect(other?.[1]).toBeCloseTo(0.2, 6);
    const rows = makeRank(options)(Float32Array.of(-5, 5), 1);
    expect(rows?.map(({ shape }) => shape)).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  const value = (name: string, shape: (number | string)[]) => ({
    ...{ name, shape, datatype: 'FP32' as const },
    type: 'float32',
  });
  const labels = ['no', 'yes'].map((text, id) => ({ text, id }));
  const find = (activation: Options['activation'], shape: (number | string)[], tensor?: string) =>
    findScores({ model: 'sample', key: 'output', output: { activation, tensor }, labels }, [
      value('other', ['N', 7]),
      value('score', shape),
    ]);

  test.each([[['N', 1]], [['N']]])('is found in an output of %j', (shape) => {
    expect(find('sigmoid', shape, 'score')).toEqual({ name: 'score', isBinary: true });
    expect(find('none', shape, 'score')).toEqual({ name: 'score', isBinary: true });
  });

  test('is refused with softmax, which would make 1 of it', () => {
    const { code, message } = errorOf(() => find('softmax', ['N', 1], 'score'));
    expect(code).toBe('model_file_wrong');
    expect(message).toContain('sample: output.activation: expected sigmoid, or none');
  });

  test('is looked for where the manifest says, and refused where it is not', () => {
    expect(find('none', ['N', 2], 'score')).toEqual({ name: 'score', isBinary: false });
    expect(errorOf(() => find('none', ['N', 2])).message).toContain('got other: float32[N,7]');
    const { message } = errorOf(() => find('none', ['N', 2], 'scores'));
    expect(message).toContain('output.tensor: expected an output of the network that is a tensor');
    expect(message).toContain(
      'got "scores". The outputs: other: float32[N,7], score: float32[N,2]',
    );
  });
});

describe('the classes of a manifest', () => {
  const network = (shape: number[]) => ({
    inputs: [{ name: 'x', datatype: 'BYTES', shape: [-1] }],
    outputs: [
      { name: 'label', datatype: 'INT64', shape: [-1] },
      { name: 'scores', datatype: 'FP32', shape },
    ],
  });
  const read = (changes: Record<string, unknown>) => {
    const manifest = manifestSchema.parse({ ...sampleManifest, example: undefined, ...changes });
    const folder = makeFolder({ 'labels.txt': sampleLabels });
    return { labels: readLabels(folder, manifest), heads: readHeads(folder, manifest) };
  };

  test('are numbered without labels', () => {
    const output = { kind: 'classification' };
    const names = (shape: number[]) => read({ output, network: network(shape) }).labels;
    expect(names([-1, 3]).map(({ text }) => text)).toEqual(['0', '1', '2']);
    expect(names([-1, 1]).map(({ id }) => id)).toEqual([0, 1]);
  });

  test.each([[undefined], [network([-1, -1])]])(
    'cannot be numbered if nothing says how many there are',
    (declared) => {
      const changes = { output: { kind: 'classification' }, network: declared };
      const { code, message } = errorOf(() => read(changes));
      expect(code).toBe('manifest_invalid');
      expect(message).toContain(
        'sample: output.labels: expected a file with the labels, or the number of scores in network.outputs',
      );
    },
  );

  test('have as many thresholds as labels', () => {
    const output = { ...sampleManifest.output, threshold: [0.1, 0.2, 0.3] };
    expect(errorOf(() => read({ output })).message).toContain(
      'sample: output.threshold: expected a number, or 5: one for each label, in the same order; got 3',
    );
    const outputs = { tags: { ...output, threshold: [1] } };
    expect(errorOf(() => read({ outputs })).message).toContain('sample: outputs.tags.threshold');
  });

  test('of a further answer are those of its own file, and its output is that of its name', () => {
    const outputs = { tags: { kind: 'classification', labels: 'labels.txt' } };
    const { heads } = read({ outputs });
    expect(heads).toMatchObject([{ name: 'tags', output: { tensor: 'tags' } }]);
    expect(heads[0]?.labels).toHaveLength(5);
  });
});
