// Tells the format of a model by its content. Names do not decide: a .pt can be a network, its weights or a
// pickle, and a .txt anything.

import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { describeUnreadable, NoFile } from '../../shared/files/unreadable.js';
import { wrongFile } from '../faults.js';
import { readZipNames } from './zip-names.js';

export type Format =
  | 'onnx'
  | 'pickle'
  | 'skops'
  | 'pytorch'
  | 'keras'
  | 'saved-model'
  | 'mlflow'
  | 'lightgbm'
  | 'xgboost'
  | 'catboost';

const headBytes = 256;
const orProgram = 'A model that cannot become ONNX is served as a Python program: docs/python.md';

/** What a file is by its first bytes, in hexadecimal. Formats that cannot be served are here to be named. */
const heads: readonly [head: RegExp, format: Format | Unserved][] = [
  // What torch.save wrote before it wrote archives
  [/^80028a0a6cfc9c46f9206aa85019/, 'pytorch'],
  [/^800[2-5]/, 'pickle'],
  // joblib compresses by zlib, gzip, bzip2, LZMA or LZ4.
  [/^(78(01|5e|9c|da)|1f8b|425a68|fd377a585a|5d0000|04224d18)/, 'pickle'],
  [/^894844460d0a1a0a/, 'keras'],
  // "tree" on a line of its own
  [/^74726565(0d)?0a/, 'lightgbm'],
  // "{" and soon after it "learner", in JSON or UBJSON
  [/^(09|0a|0d|20)*7b(..){0,64}?6c6561726e6572/, 'xgboost'],
  [/^43424d31/, 'catboost'],
  [
    /^.{8}54464c33/,
    {
      what: 'a network of TensorFlow Lite',
      remedy: `Make ONNX of it: python -m tf2onnx.convert --tflite FILE --output MODEL.onnx. ${orProgram}`,
    },
  ],
  [
    /^.{8}4f52544d/,
    { what: 'a network in the ORT format', remedy: 'Add the ONNX file that it was made from' },
  ],
  [
    /^47475546/,
    { what: 'a language model in GGUF', remedy: 'Scoreline serves no generative language models' },
  ],
  [
    /^.{16}7b22/,
    {
      what: 'weights in safetensors, without their network',
      remedy: `Build the network in Python, load the weights, and save it whole, as with torch.export.save. Those of transformers: optimum-cli export onnx --model FOLDER. ${orProgram}`,
    },
  ],
  [
    /^76657273696f6e2068747470733a2f2f6769742d6c6673/,
    { what: 'a pointer of Git LFS', remedy: 'Get the file with: git lfs pull' },
  ],
  [
    /^(09|0a|0d|20)*3c(21|48|68)/,
    {
      what: 'a web page',
      remedy: 'Download the file itself; the page may say why it was not given',
    },
  ],
  [/^934e554d5059/, { what: 'an array of NumPy', remedy: 'Add the file of a whole model' }],
  [
    /^3c(3f786d6c|504d4d4c)/,
    {
      what: 'a model in XML, such as PMML',
      remedy: `Add the model that it was made from. ${orProgram}`,
    },
  ],
];

/** What optimum and others call the network in a folder. */
export const networkName = 'model.onnx';

interface Unserved {
  readonly what: string;
  readonly remedy: string;
}

/**
 * Returns the format of a file or folder.
 * @throws ScorelineError `model_file_wrong` if it is none that can be added
 */
export function formatOf(file: string): Format {
  const stats = statSync(file);
  if (!stats.isFile() && !stats.isDirectory()) {
    throw wrongFile(`expected a model; ${file} ${describeUnreadable(new NoFile())}`);
  }
  const found = stats.isDirectory() ? formatOfFolder(file) : formatOfFile(file);
  if (typeof found === 'string') return found;
  throw wrongFile(`expected a model; ${file} is ${found.what}. ${found.remedy}`);
}

const weightsOfTransformers = /^(model|pytorch_model)\b.*\.(safetensors|bin)$/;

function formatOfFolder(folder: string): Format | Unserved {
  if (existsSync(path.join(folder, 'MLmodel'))) return 'mlflow';
  if (existsSync(path.join(folder, 'saved_model.pb'))) return 'saved-model';
  if (existsSync(path.join(folder, networkName))) return 'onnx';
  const files = readdirSync(folder);
  if (files.includes('config.json') && files.some((name) => weightsOfTransformers.test(name))) {
    return {
      what: 'a network of transformers, without its ONNX file',
      remedy: `Write that with optimum, pip install optimum[onnx], and add its folder: optimum-cli export onnx --model ${folder} FOLDER. ${orProgram}`,
    };
  }
  const names = files.slice(0, 5).join(', ');
  return {
    what: `a folder without saved_model.pb, MLmodel and ${networkName}${names ? `; it has ${names}` : ', and empty'}`,
    remedy: 'Name the file of the model, or the folder of a SavedModel or of a model of MLflow',
  };
}

function formatOfFile(file: string): Format | Unserved {
  const head = readHead(file);
  if (head.length === 0) return { what: 'empty', remedy: 'Copy or download it again' };
  if (head.subarray(0, 4).equals(Buffer.from('504b0304', 'hex'))) return formatOfArchive(file);
  const known = heads.find(([pattern]) => pattern.test(head.toString('hex')))?.[1];
  if (known) return known;
  const extension = path.extname(file).toLowerCase();
  // An ONNX file begins with the number of its version, and has no sign of its own.
  if (/^08[01]/.test(head.toString('hex')) || extension === '.onnx') return 'onnx';
  // Pickles of the first protocols are text.
  if (/^\.(pkl|pickle|joblib)$/.test(extension) && /^[(c\]}]/.test(head.toString()))
    return 'pickle';
  return {
    what: `of no format known here; it begins with ${showBytes(head)}`,
    remedy: `Known are ONNX, pickles of scikit-learn, .pt2 and .pt of PyTorch, .keras, .h5, SavedModel folders, text files of LightGBM, .json and .ubj of XGBoost, .cbm of CatBoost, folders of MLflow. ${orProgram}`,
  };
}

function formatOfArchive(file: string): Format | Unserved {
  const names = readZipNames(file);
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (has(/^config\.json$/) && has(/^metadata\.json$/)) return 'keras';
  if (has(/^schema\.json$/)) return 'skops';
  if (has(/(^|\/)(data\.pkl|archive_format|constants\.pkl)$/)) return 'pytorch';
  if (names.length === 0) {
    return { what: 'an archive that is cut off', remedy: 'Copy or download it again' };
  }
  return {
    what: `an archive of something else; it has ${names.slice(0, 5).join(', ')}`,
    remedy: 'Unpack it, and name the file of the model',
  };
}

function readHead(file: string): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(headBytes);
    return buffer.subarray(0, readSync(descriptor, buffer));
  } finally {
    closeSync(descriptor);
  }
}

function showBytes(head: Buffer): string {
  const start = head.subarray(0, 16);
  if (/^[\x20-\x7e\s]+$/.test(start.toString('latin1'))) return JSON.stringify(start.toString());
  return start.toString('hex').replaceAll(/(..)(?=.)/g, '$1 ');
}
