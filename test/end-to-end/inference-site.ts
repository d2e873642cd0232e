// A service with the included models for CPUs, and with small models of tensors and of a table.

import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type Datatype, datatypes } from '../../shared/tensors/tensors.js';
import { openRedis, root, type Service, startService, type TestRedis } from '../harness.js';
import { node } from '../onnx.js';
import { addAdder, addEcho, addTensorModel, declared } from '../tensor-model.js';
import { writeFolder } from '../unit/sample-model.js';

const included = ['faq-matcher', 'efficientnet-lite0', 'breast-cancer'];

export interface InferenceSite {
  readonly service: Service;
  readonly redis: TestRedis;
  readonly models: readonly string[];
  close(): Promise<void>;
}

/** @param options.echoes the datatypes for which there is a model that answers with its input */
export async function openInferenceSite(
  options: { echoes?: readonly Datatype[]; environment?: Readonly<Record<string, string>> } = {},
): Promise<InferenceSite> {
  const directory = writeFolder({});
  for (const name of [...included, 'imagenet-1k.txt']) {
    cpSync(path.join(root, 'models', name), path.join(directory, name), { recursive: true });
  }
  cpSync(path.join(root, 'test/tables/houses'), path.join(directory, 'houses'), {
    recursive: true,
  });
  // A model without an example is first tried in a process of its own: test/integration/tensor-examples.test.ts.
  addAdder(directory, 'adder', { example: { inputs: [rowOf('a'), rowOf('b')] } });
  const echoes = (options.echoes ?? datatypes).map((datatype) =>
    addEcho(directory, datatype, { changes: { example: { inputs: [rowOf('in', datatype)] } } }),
  );
  addTensorModel(directory, {
    name: 'whole',
    nodes: [node('ReduceSum', ['in'], ['out'])],
    network: {
      inputs: [declared('in', 'FP32', [-1, -1])],
      outputs: [declared('out', 'FP32', [1, 1])],
    },
    changes: { batch: 'none', example: { inputs: [rowOf('in')] } },
  });
  const models = [...included, 'houses', 'adder', 'whole', ...echoes];
  const redis = await openRedis();
  const service = await startService({
    redisUrl: redis.url,
    models: models.join(),
    environment: {
      MODELS_DIR: directory,
      GRPC_PORT: '0',
      SHUTDOWN_MS: '2000',
      ...options.environment,
    },
  });
  return {
    service,
    redis,
    models,
    close: async () => {
      await service.close();
      await redis.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Returns a row of two elements, as an example has it. */
function rowOf(name: string, datatype: Datatype = 'FP32') {
  const others: Partial<Record<Datatype, unknown[]>> = { BOOL: [true, false], BYTES: ['a', 'b'] };
  return { name, shape: [1, 2], data: others[datatype] ?? [1, 2] };
}
