// Runs a model with ONNX Runtime's profiler on, with the options of the worker's engine.

import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { withFolder } from '../cli/temporary.js';
import { countCores } from '../shared/process/processors.js';
import type { Model } from '../shared/registry/models.js';
import type { Tensor as WireTensor } from '../shared/tensors/tensors.js';
import { feedsOf } from '../worker/batch/inputs/feeds.js';
import { describeValue, toRuntime } from '../worker/engine/runtime-tensors.js';

/** A run of one node of the network. */
export interface NodeRun {
  readonly node: string;
  readonly operator: string;
  readonly tookUs: number;
}

export interface EngineProfile {
  readonly runs: number;
  readonly nodeRuns: readonly NodeRun[];
}

interface Options {
  readonly item: readonly WireTensor[];
  readonly batch: number;
  readonly threads: number;
  readonly seconds: number;
}

/** Scores a batch of the same item again and again. The first run, which allocates memory, does not count. */
export function profileEngine(model: Model, options: Options): Promise<EngineProfile> {
  return withFolder(os.tmpdir(), 'scoreline-profile', async (folder) => {
    const session = await InferenceSession.create(model.file, {
      executionProviders: ['cpu'],
      intraOpNumThreads: options.threads || countCores(),
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
      enableProfiling: true,
      profileFilePrefix: path.join(folder, 'run'),
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
    const items = new Array<readonly WireTensor[]>(options.batch).fill(options.item);
    const [batch = []] = await feedsOf(model, session.inputMetadata.map(describeValue), [items]);
    const feeds: Record<string, Tensor> = {};
    for (const tensor of batch) {
      const { type, dims, data } = toRuntime(tensor);
      feeds[tensor.name] = new Tensor(type as 'float32', data as Float32Array, dims);
    }
    let runs = 0;
    for (const startedAt = performance.now(); ; runs++) {
      await session.run(feeds);
      if (runs > 0 && performance.now() - startedAt >= options.seconds * 1000) break;
    }
    session.endProfiling();
    return { runs, nodeRuns: readTrace(folder, runs + 1) };
  });
}

interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

const kernel = '_kernel_time';

function readTrace(folder: string, runs: number): NodeRun[] {
  const [file] = readdirSync(folder);
  if (!file) throw new Error('ONNX Runtime has written no profile. This is a bug.');
  const events: TraceEvent[] = JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
  const nodeRuns = events
    .filter(({ cat, name }) => cat === 'Node' && name.endsWith(kernel))
    .map(({ name, dur, args }) => ({
      node: name.slice(0, -kernel.length),
      operator: args?.op_name ?? '',
      tookUs: dur,
    }));
  return nodeRuns.slice(Math.floor(nodeRuns.length / runs));
}
