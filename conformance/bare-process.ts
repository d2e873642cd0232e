// A process that runs cases with bare onnxruntime-node, with nothing of Scoreline's in between but names.
// Its parent sends a case and gets an outcome. A network may end the process.

import process from 'node:process';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { numberArrays } from '../shared/tensors/tensors.js';
import { describeValue } from '../worker/engine/runtime-tensors.js';
import { type BareOutcome, type BareOutput, typeOf } from './bare.js';
import type { Case, CaseInput } from './cases.js';

/** As often as it takes to notice that a network draws random numbers. */
const repeats = 5;

process.on('message', async (given: Case) => {
  process.send?.(await runCase(given));
});
process.on('disconnect', () => process.exit());

async function runCase({ file, inputs, reason }: Case): Promise<BareOutcome> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(file, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 4,
    });
  } catch (thrown) {
    return { error: (thrown as Error).message };
  }
  const values = {
    inputs: session.inputMetadata.map(describeValue),
    outputs: session.outputMetadata.map(describeValue),
  };
  if (reason !== null) return { error: reason, values };
  try {
    const runs: BareOutput[][] = [];
    for (let run = 0; run <= repeats; run++) runs.push(await runOnce(session, inputs));
    const [outputs = [], ...repeated] = runs;
    const isRandom = repeated.some((again) =>
      again.some((output, at) => !isSame(output, outputs[at])),
    );
    return { values, outputs, isRandom };
  } catch (thrown) {
    return { error: (thrown as Error).message, values };
  } finally {
    await session.release();
  }
}

async function runOnce(session: InferenceSession, inputs: readonly CaseInput[]) {
  const given = inputs.filter(({ name }) => session.inputNames.includes(name));
  const feeds = Object.fromEntries(given.map((input) => [input.name, toTensor(input)]));
  const results = await session.run(feeds, session.outputNames);
  const outputs: BareOutput[] = [];
  for (const name of session.outputNames) {
    const result = results[name];
    // A sequence or a map.
    if (!result?.dims) continue;
    outputs.push({ name, type: result.type, shape: [...result.dims], ...contentOf(result) });
  }
  return outputs;
}

function toTensor({ datatype, shape, data, json }: CaseInput): Tensor {
  if (datatype === 'BYTES') return new Tensor('string', JSON.parse(json), shape);
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  const array = new numberArrays[datatype](bytes.buffer);
  // As an object, because `Tensor` converts float16 where Node has Float16Array, which ONNX Runtime then reads as
  // empty.
  return { type: typeOf(datatype), dims: shape, data: array, location: 'cpu' } as unknown as Tensor;
}

function contentOf({ data }: Tensor): Pick<BareOutput, 'bytes' | 'texts'> {
  if (!ArrayBuffer.isView(data)) return { texts: [...(data as string[])] };
  return { bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice() };
}

function isSame(one: BareOutput, other: BareOutput | undefined): boolean {
  return (
    JSON.stringify([one.shape, one.texts]) === JSON.stringify([other?.shape, other?.texts]) &&
    Buffer.compare(one.bytes ?? Buffer.alloc(0), other?.bytes ?? Buffer.alloc(0)) === 0
  );
}
