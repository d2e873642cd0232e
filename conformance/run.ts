// The conformance run: what bare onnxruntime-node answers to the ONNX project's backend tests, a real
// service must answer too, in JSON and in binary tensors. What cannot be served must be refused by the
// check, with an error of ours that says why.
//
// The models are served in groups, each by a service of its own, because a worker has a thread and an
// arena of memory for each model.

import { rmSync } from 'node:fs';
import path from 'node:path';
import { startBenchService } from '../bench/service.js';
import { checkModel } from '../cli/models/check.js';
import { coerceError, ScorelineError } from '../shared/errors.js';
import { readModels } from '../shared/registry/models.js';
import { type BareOutcome, BareRuntime } from './bare.js';
import type { Case } from './cases.js';
import { type Form, findDifference, infer } from './infer.js';
import { addModel, modelNameOf } from './models.js';
import { Tally } from './tally.js';

const groupSize = 100;
/** A case has 15 MB of JSON. */
const bytesMax = '67108864';

interface Candidate {
  readonly each: Case;
  readonly name: string;
  readonly bare: BareOutcome;
}

/** Runs all cases, with their models in a folder. Says how far it is. */
export async function runConformance(
  cases: readonly Case[],
  directory: string,
  say: (line: string) => void,
): Promise<Tally> {
  if (cases.length === 0) throw new Error('Expected at least one case; got none.');
  const tally = new Tally();
  const runtime = new BareRuntime();
  try {
    for (let from = 0; from < cases.length; from += groupSize) {
      const group = cases.slice(from, from + groupSize);
      const folder = path.join(directory, String(from));
      const served: Candidate[] = [];
      for (const [at, each] of group.entries()) {
        const name = modelNameOf(each, from + at);
        const bare = await runtime.run(each);
        addModel(folder, { name, values: bare.values, each });
        if (await isServable({ each, name, bare }, folder, tally))
          served.push({ each, name, bare });
      }
      if (served.length > 0) await compareAll(served, folder, tally);
      say(`${from + group.length} of ${cases.length}: ${tally.summary()}`);
      rmSync(folder, { recursive: true });
    }
  } finally {
    runtime.close();
  }
  return tally;
}

/** Checks a model, and notes what that says. */
async function isServable({ each, name, bare }: Candidate, directory: string, tally: Tally) {
  const isRun = 'outputs' in bare;
  if (isRun) tally.bare++;
  else tally.noteNotRun(bare.error);
  // Loading it here would end this process, too.
  if (!isRun && bare.isCrash) return false;
  const isWhole = [...(bare.values?.inputs ?? []), ...(bare.values?.outputs ?? [])].every(
    ({ datatype }) => datatype,
  );
  const mustPass = isRun && isWhole && each.inputs.length > 0;
  const mustFail = bare.values === undefined || !isWhole;
  try {
    const [model] = readModels({ directory, names: [name], filesNeeded: true });
    if (model) await checkModel(model, () => {});
    if (mustFail) tally.noteFault(each.name, 'the check passes, although it cannot be served');
    return isRun;
  } catch (thrown) {
    const error = coerceError(thrown);
    if (!(error instanceof ScorelineError) || error.code === 'internal_error') {
      tally.noteFault(each.name, `the check fails without a clear error: ${error.message}`);
    } else if (mustPass) {
      tally.noteFault(each.name, `the check refuses it: ${error.message}`);
    } else if (isRun) {
      tally.noteRefused(error.message);
    }
    return false;
  }
}

async function compareAll(served: readonly Candidate[], directory: string, tally: Tally) {
  const service = await startBenchService({
    models: served.map(({ name }) => name).join(),
    modelsDirectory: directory,
    environment: { BODY_BYTES_MAX: bytesMax, TENSOR_JSON_BYTES_MAX: bytesMax },
  });
  try {
    for (const candidate of served) {
      for (const form of ['json', 'binary'] as const) {
        const fault = await compare(candidate, service.url, form).catch(
          (thrown) => coerceError(thrown).message,
        );
        if (fault === undefined) tally.same[form]++;
        else tally.noteFault(candidate.each.name, `by ${form}: ${fault}`);
      }
    }
  } finally {
    await service.close();
  }
}

async function compare({ each, name, bare }: Candidate, url: string, form: Form) {
  if (!('outputs' in bare)) throw new Error('It has no outputs. This is a bug.');
  const inputs = each.inputs.filter((input) =>
    bare.values.inputs.some((value) => value.name === input.name),
  );
  const answered = await infer(`${url}/v2/models/${name}/infer`, inputs, form);
  return findDifference(answered, bare.outputs, bare.isRandom);
}
