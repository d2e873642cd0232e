// Models that MLflow has saved are added in one command, and answer what mlflow.pyfunc predicts.

import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, describe, expect, test } from 'vitest';
import { areLike } from '../../shared/json-likeness.js';
import { openRedis, post, startService } from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';
import { addTo, inTurns, train } from './parity.js';

interface Case {
  readonly input: unknown;
  /** What MLflow predicts of this input alone. */
  readonly prediction: unknown;
}

const kinds = {
  columns: 'table',
  booster: 'table',
  own: 'table',
  share: 'table',
  count: 'json',
  pytorch: 'tensors',
  keras: 'tensors',
};
const names = Object.keys(kinds);
const directory = writeFolder({});
const [saved, models] = ['saved', 'models'].map((name) => path.join(directory, name)) as [
  string,
  string,
];

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.skipIf(process.env.SCORELINE_PARITY_TABLE === undefined)('models of MLflow', () => {
  test('are added, and answer 200 rows each as MLflow does', { timeout: 7_200_000 }, async () => {
    for (const folder of [saved, models]) mkdirSync(folder);
    for (const some of [names.filter((name) => name !== 'keras'), ['keras']]) {
      expect(await train('test/exporters/mlflow.txt', 'train_mlflow.py', [saved, ...some])).toBe(0);
    }
    for (const [name, kind] of Object.entries(kinds)) {
      const said = await addTo(models, [path.join(saved, name)]);
      expect(said).toContain(`input      ${kind}, because`);
      if (name !== 'count') expect(said).toMatch(/\n {2}example {4}.*as expected\n/);
      expect(said.includes('batch      one row, since rows get other')).toBe(name === 'share');
    }
    const redis = await openRedis();
    const service = await startService({
      redisUrl: redis.url,
      models: names.join(),
      environment: { MODELS_DIR: models, SHUTDOWN_MS: '2000' },
    });
    try {
      for (const name of names) {
        const cases = readCases(name);
        expect(cases).toHaveLength(200);
        await inTurns(cases, 16, async ({ input, prediction }) => {
          const got = await answerOf(service.url, name, input);
          const isRight = areLike(prediction, got, areNear);
          expect({ name, input, got, isRight }).toEqual({ name, input, got, isRight: true });
        });
      }
    } finally {
      await service.close();
      await redis.close();
    }
  });
});

function readCases(name: string): Case[] {
  return JSON.parse(readFileSync(path.join(saved, `${name}.json`), 'utf8'));
}

async function answerOf(url: string, name: string, input: unknown): Promise<unknown> {
  if (!Array.isArray(input)) {
    const { status, body } = await post(`${url}/v1/models/${name}/score`, { input });
    return status === 200 ? body.predictions[0].json : body;
  }
  const tensor = { name: 'input-0', datatype: 'FP32', shape: [1, input.length], data: input };
  const { status, body } = await post(`${url}/v2/models/${name}/infer`, { inputs: [tensor] });
  return status === 200 ? body.outputs[0].data : body;
}

/** Batches of other sizes are rounded in another way. */
function areNear(one: number, other: number): boolean {
  return Math.abs(one - other) <= 1e-5 * Math.max(1, Math.abs(one));
}
