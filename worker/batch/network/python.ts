// Opens the engine of a model that is a Python program. A program has no file that names its inputs and
// outputs. They are those that the manifest declares, or those that its kinds imply.

import { ScorelineError } from '../../../shared/errors.js';
import { embeddingName } from '../../../shared/manifest/embedding.js';
import { imageTensor } from '../../../shared/manifest/image-input.js';
import type { Label } from '../../../shared/manifest/labels.js';
import type { Manifest } from '../../../shared/manifest/manifest.js';
import { type HeadOutput, jsonName, scoresClasses } from '../../../shared/manifest/output.js';
import type { Logger } from '../../../shared/process/log.js';
import type { Model } from '../../../shared/registry/models.js';
import type { NetworkValue } from '../../../shared/tensors/network.js';
import type { Engine, TensorValue, Watch } from '../../engine/engine.js';
import { openPythonEngine } from '../../engine/python/python.js';
import { takesStrings } from '../inputs/adapter.js';
import { declareNetwork } from './declared.js';

/** @throws ScorelineError `model_file_wrong`; `manifest_invalid` if nothing tells the inputs or outputs */
export async function openPython(model: Model, log: Logger, watch: Watch): Promise<Engine> {
  const { name, folder, file, manifest } = model;
  const { source, input, device, network, loadMsMax } = manifest;
  if (source.engine !== 'python')
    throw new Error('The engine of this model is not Python. This is a bug.');
  if (!network && !impliesNetwork(model)) throw undeclared(model);
  const values = { inputs: inputsOf(model), outputs: outputsOf(model), ...network };
  return openPythonEngine(
    {
      name,
      folder,
      file,
      requirements: source.requirements,
      kind: input.kind,
      json: jsonOutputsOf(model),
      inputs: values.inputs.map(named),
      outputs: values.outputs.map(named),
      device,
      loadMsMax,
    },
    log.child({ model: name }),
    watch,
  );
}

function inputsOf({ manifest: { input } }: Model): NetworkValue[] {
  if (takesStrings(input)) return [{ name: input.kind, datatype: 'BYTES', shape: [-1] }];
  if (input.kind !== 'image') return [];
  const { datatype, inner } = imageTensor(input);
  return [{ name: 'image', datatype, shape: [-1, ...inner] }];
}

/** The outputs of the model's answer and of its further ones, each once. */
function outputsOf({ manifest: { output }, labels, heads }: Model): NetworkValue[] {
  const outputs = [
    outputOf(output, labels),
    ...heads.map((head) => outputOf(head.output, head.labels)),
  ];
  return outputs.filter(({ name }, at) => outputs.findIndex((each) => each.name === name) === at);
}

/** The output with an answer of its kind. For tensors, it is a guess. */
function outputOf(output: Manifest['output'] | HeadOutput, labels: readonly Label[]): NetworkValue {
  if (output.kind === 'embedding')
    return { name: embeddingName, datatype: 'FP32', shape: [-1, output.dimension] };
  const tensor = 'tensor' in output ? output.tensor : undefined;
  if (scoresClasses(output))
    return { name: tensor ?? 'scores', datatype: 'FP32', shape: [-1, labels.length] };
  if (output.kind === 'json') return { name: tensor ?? jsonName, datatype: 'BYTES', shape: [-1] };
  const name = tensor ?? (output.kind === 'regression' ? 'value' : 'y');
  return { name, datatype: 'FP32', shape: [-1] };
}

/** The names of the outputs that are JSON. */
function jsonOutputsOf({ manifest: { output }, heads }: Model): string[] {
  return [output, ...heads.map((head) => head.output)].flatMap((each) =>
    each.kind === 'json' ? [each.tensor ?? jsonName] : [],
  );
}

/** Whether the kinds of the input and of all answers say what the program takes and returns. */
function impliesNetwork({ manifest: { input, output }, heads }: Model): boolean {
  const answers = [output, ...heads.map((head) => head.output)];
  const hasInput = takesStrings(input) || input.kind === 'image';
  return hasInput && answers.every(({ kind }) => kind !== 'tensors');
}

/** Says what to add to the manifest, as far as it is known. `openModelEngine` puts the name of the model before it. */
function undeclared(model: Model): ScorelineError {
  const { input } = model.manifest;
  const columns = input.kind === 'table' ? input.columns : [{ name: 'x', datatype: 'number' }];
  const wanted = inputsOf(model);
  const inputs = wanted.length > 0 ? wanted : columns.map(inputOf);
  return new ScorelineError(
    'manifest_invalid',
    `expected the manifest to declare network, since no file names the inputs and outputs of a Python program; got none. Add what its predict takes and returns, such as:\n${declareNetwork({ inputs: inputs.map(named), outputs: outputsOf(model).map(named) })}`,
  );
}

function inputOf({ name, datatype }: { name: string; datatype: string }): NetworkValue {
  return { name, datatype: datatype === 'category' ? 'BYTES' : 'FP64', shape: [-1] };
}

function named({ name, datatype, shape }: NetworkValue): TensorValue {
  return { name, datatype, shape, type: String(datatype) };
}
