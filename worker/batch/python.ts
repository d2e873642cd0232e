// Opens the engine of a model that is a Python program. A program has no file that names its inputs and
// outputs. They are those that the manifest declares, or those that its kinds imply.

import { embeddingName } from '../../shared/embedding.js';
import { imageTensor } from '../../shared/image-input.js';
import type { Logger } from '../../shared/log.js';
import type { Model } from '../../shared/models.js';
import type { NetworkValue } from '../../shared/network.js';
import { scoresClasses } from '../../shared/output.js';
import type { Engine, TensorValue, Watch } from '../engine/engine.js';
import { openPythonEngine } from '../engine/python/python.js';

/** @throws ScorelineError `model_file_wrong` */
export function openPython(model: Model, log: Logger, watch: Watch): Promise<Engine> {
  const { name, folder, file, manifest } = model;
  const { source, input, device, network, loadMsMax } = manifest;
  if (source.engine !== 'python')
    throw new Error('The engine of this model is not Python. This is a bug.');
  const values = { inputs: inputsOf(model), outputs: outputsOf(model), ...network };
  return openPythonEngine(
    {
      name,
      folder,
      file,
      requirements: source.requirements,
      kind: input.kind,
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
  if (input.kind === 'text') return [{ name: 'text', datatype: 'BYTES', shape: [-1] }];
  if (input.kind !== 'image') return [];
  const { datatype, inner } = imageTensor(input);
  return [{ name: 'image', datatype, shape: [-1, ...inner] }];
}

function outputsOf({ manifest: { output }, labels }: Model): NetworkValue[] {
  if (scoresClasses(output))
    return [{ name: 'scores', datatype: 'FP32', shape: [-1, labels.length] }];
  if (output.kind === 'regression') return [{ name: 'value', datatype: 'FP32', shape: [-1] }];
  if (output.kind === 'embedding') {
    return [{ name: embeddingName, datatype: 'FP32', shape: [-1, output.dimension] }];
  }
  return [];
}

function named({ name, datatype, shape }: NetworkValue): TensorValue {
  return { name, datatype, shape, type: String(datatype) };
}
