// Makes ONNX files of the files of frameworks, by the programs in exporters/. Each runs in an environment of its own
// (cli/python.ts), or in a Python that the user names, such as that of the training.

import { type StdioOptions, spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../../shared/version.js';
import { wrongFile } from '../faults.js';
import { endWithCommand } from '../temporary.js';
import type { Format } from './format.js';

export interface ExportWishes {
  readonly file: string;
  readonly format: Format;
  /** The Python to use in place of an environment of its own. */
  readonly python: string | undefined;
  /** The shape of an item of each input, for networks that do not tell. */
  readonly shape: readonly string[];
}

interface Exporter {
  /** What the file is. */
  readonly what: string;
  /** A program in exporters/, and the list of its packages. */
  readonly program: string;
  readonly packages: string;
  /** Whether reading the file runs code that it holds. */
  readonly runsCode: boolean;
}

const exporters: Readonly<Record<Exclude<Format, 'onnx' | 'mlflow'>, Exporter>> = {
  pickle: {
    what: 'a pickle',
    ...{ program: 'from_scikit_learn.py', packages: 'scikit-learn.txt', runsCode: true },
  },
  skops: {
    what: 'a skops file',
    ...{ program: 'from_scikit_learn.py', packages: 'scikit-learn.txt', runsCode: true },
  },
  pytorch: {
    what: 'a file of PyTorch',
    ...{ program: 'from_pytorch.py', packages: 'pytorch.txt', runsCode: true },
  },
  keras: {
    what: 'a network of Keras',
    ...{ program: 'from_keras.py', packages: 'keras.txt', runsCode: false },
  },
  'saved-model': {
    what: 'a SavedModel of TensorFlow',
    ...{ program: 'from_keras.py', packages: 'keras.txt', runsCode: false },
  },
  lightgbm: {
    what: 'a model of LightGBM',
    ...{ program: 'from_lightgbm.py', packages: 'scikit-learn.txt', runsCode: false },
  },
  xgboost: {
    what: 'a model of XGBoost',
    ...{ program: 'from_xgboost.py', packages: 'scikit-learn.txt', runsCode: false },
  },
  catboost: {
    what: 'a model of CatBoost',
    ...{ program: 'from_catboost.py', packages: 'catboost.txt', runsCode: false },
  },
};

const codeWarning = 'Reading it runs the code in it, so export only files whose origin you trust.';

const otherwise = 'A model that cannot become ONNX is served as a Python program: docs/python.md';

/** Says how a file becomes ONNX. */
export function describeExport({ file, format, shape }: Omit<ExportWishes, 'python'>): string {
  const { what, program, packages, runsCode } = exporterOf(format);
  const flags = shape.map((sizes) => ` --shape ${sizes}`).join('');
  const onnx = `${path.basename(file, path.extname(file))}.onnx`;
  return [
    `expected an ONNX file; ${file} is ${what}. This exports it, in a Python environment of its own that is made once, and goes on:`,
    `  npm run models -- add ${file} --export${flags}`,
    'This only makes the ONNX file:',
    `  npm run python -- exporters/${packages} exporters/${program} ${file} ${onnx}${flags}`,
    ...(runsCode ? [codeWarning] : []),
    otherwise,
  ].join('\n');
}

/**
 * Makes an ONNX file in a folder, and returns its path. What the exporter prints goes to the terminal.
 * @throws ScorelineError `model_file_wrong` if the exporter fails
 */
export async function exportModel(
  wishes: ExportWishes,
  folder: string,
  say: (line: string) => void,
): Promise<string> {
  const { file, format, python, shape } = wishes;
  const { what, program, packages, runsCode } = exporterOf(format);
  if (shape.length > 0 && format !== 'pytorch') {
    throw wrongFile(
      `--shape: expected a file of PyTorch; ${file} is ${what}, which knows its shapes`,
    );
  }
  say(`${file}: ${what}, exported by exporters/${program}`);
  if (runsCode) say(codeWarning);
  const onnx = path.join(folder, 'exported.onnx');
  const root = packageDirectory();
  const script = path.join(root, 'exporters', program);
  const list = path.join(root, 'exporters', packages);
  const sizes = shape.flatMap((item) => ['--shape', item]);
  const [command, start] = python
    ? [python, [script]]
    : [process.execPath, [path.join(root, 'dist/cli/python.js'), list, script]];
  const { code, signal } = await run(command, [...start, path.resolve(file), onnx, ...sizes]);
  if (code === 0) return onnx;
  const end = signal
    ? `it was ended by ${signal}, a crash in one of its packages or a lack of memory. ${otherwise}`
    : 'it failed, as said above';
  // Without a package, it cannot even say how it is used.
  const lacksPackages = python !== undefined && !signal && !(await canRun(python, script));
  const needs = lacksPackages
    ? `. It needs the packages in exporters/${packages} beside those of the training. Install those that it lacks with ${python} -m pip, and keep its versions of the others: ${list}`
    : '';
  throw wrongFile(`expected an ONNX file from exporters/${program}; ${end}${needs}`);
}

function exporterOf(format: Format): Exporter {
  if (format === 'onnx' || format === 'mlflow') {
    throw new Error(`The format ${format} has no exporter. This is a bug.`);
  }
  return exporters[format];
}

interface End {
  /** Null if a signal ended the program. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Runs a program to its end. What it prints goes to the terminal, unless nobody should see it. */
export function run(
  program: string,
  parameters: readonly string[],
  output: 'inherit' | 'ignore' = 'inherit',
): Promise<End> {
  return new Promise((resolve, reject) => {
    const stdio: StdioOptions = ['ignore', output, output];
    const child = spawn(program, parameters, { stdio, detached: true });
    endWithCommand(child);
    child.on('error', ({ message }) => reject(wrongFile(`expected to run ${program}; ${message}`)));
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
}

async function canRun(python: string, script: string): Promise<boolean> {
  const { code } = await run(python, [script, '--help'], 'ignore');
  return code === 0;
}
