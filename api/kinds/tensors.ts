import { z } from 'zod';
import { ownTensors } from '../../shared/manifest/heads.js';
import { datatypes, type Tensor } from '../../shared/tensors/tensors.js';
import { checkListed, sizesOf, toJson } from '../inference/json-tensor.js';
import type { OutputKind } from './kind.js';

const tensor = z.object({
  name: z.string().describe('The name of the output of the network.'),
  datatype: z.enum(datatypes),
  shape: z.array(z.int().min(0)).describe('The sizes, without the one that counts inputs.'),
  data: z
    .array(z.union([z.number(), z.string(), z.boolean()]))
    .describe('The elements in row-major order. NaN and the infinities are strings.'),
});

/** Answers with the outputs of the network. */
export const tensors: OutputKind = {
  writePredictions: (outputs) => writeTensors(ownTensors(outputs)),

  referenceTop: () => undefined,

  referenceResult: (results) => {
    checkListed(results.flatMap(({ outputs }) => sizesOf(ownTensors(outputs))));
    const entries = results.map(
      ({ name, outputs }) => `${JSON.stringify(name)}:${writeTensors(ownTensors(outputs))}`,
    );
    return `{${entries.join()}}`;
  },

  form: {
    predictions: z.array(tensor).describe('The outputs of the network.'),
    reference: z
      .record(z.string(), z.array(tensor))
      .describe('By name of the input: the outputs of the network.'),
    codes: ['inputs_refused'],
  },
};

function writeTensors(outputs: readonly Tensor[]): string {
  const written = outputs.map(({ name, datatype, shape, data }) => {
    const head = JSON.stringify({ name, datatype, shape: shape.slice(1) });
    return `${head.slice(0, -1)},"data":[${toJson(datatype, data)}]}`;
  });
  return `[${written.join()}]`;
}
