// Models that MLflow has saved: folders with a file MLmodel, which names their flavours. One flavour loads and asks the
// model, whatever it is: python_function. So any of them is served as a Python program, in an environment with its own
// packages. With --export, the file of another flavour goes to its exporter, as if the user had named it.

import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { coerceError } from '../../../shared/errors.js';
import { parseYaml } from '../../../shared/files/parse-yaml.js';
import { sha256Of } from '../../../shared/files/sha256.js';
import { isJsonObject } from '../../../shared/json-object.js';
import { makeLogger } from '../../../shared/process/log.js';
import { shown } from '../../../shared/shown.js';
import { packageDirectory } from '../../../shared/version.js';
import { ensureEnvironment } from '../../../worker/engine/python/environment.js';
import { wrongFile } from '../../faults.js';
import { run } from '../export.js';
import { type Format, formatOf } from '../format.js';
import { flow, formatInput } from './manifest-text.js';
import { merge, type Section, type Settings } from './settings.js';

/** The copy of MLflow's folder in that of the model. No module of Python can have this name. */
const copy = 'mlflow-model';
const requirements = `${copy}/requirements.txt`;
/** What of the folder is no part of the model. */
const isLeftOut = /^(?:\..*|__pycache__|\.venv)$/;
/** The keys of a flavour that name its file, or the folder of its file. */
const keysOfFiles = ['pickled_model', 'data', 'model_data', 'saved_model_dir'];
/** What MLflow calls the file in the folder of a flavour. */
const filesOfFolders = ['model.keras', 'model.h5', 'model.pt2', 'model.pth', 'model'];

/** What a folder of MLflow leads to. */
export interface FlavourFile {
  readonly file: string;
  readonly format: Format;
  /** The shape of an item of each input, as the signature says. */
  readonly shape?: readonly string[] | undefined;
}

/** Whether what was named is an address of MLflow or of a store, and no path. */
export function isAddress(file: string): boolean {
  return /^(?:models|runs|mlflow-artifacts|dbfs|azureml|wasbs?|abfss?|s3|gs|https?):\//.test(file);
}

export function describeAddress(address: string): string {
  return `expected a file or a folder; ${address} is an address. Download the model, and add its folder. With MLflow: mlflow artifacts download --artifact-uri '${address}' --dst-path my-model`;
}

/**
 * Returns the file that becomes the network: that of the flavour onnx, and with `--export` that of another one. Without
 * one, the folder is served as a program.
 * @throws ScorelineError `model_file_wrong`
 */
export function fileOfFlavour(folder: string, { isExport }: { isExport: boolean }): FlavourFile {
  const { flavours, signature } = readMlmodel(folder);
  const found = Object.entries(flavours).flatMap(([name, flavour]) => {
    const file = name === 'python_function' ? undefined : fileIn(folder, flavour);
    return file === undefined ? [] : [file];
  })[0];
  if (found !== undefined && (isExport || path.extname(found) === '.onnx')) {
    const format = formatOf(found);
    return { file: found, format, ...(format === 'pytorch' && { shape: shapesIn(signature) }) };
  }
  if (!isExport) return { file: folder, format: 'mlflow' };
  const names = Object.keys(flavours).join(', ');
  throw wrongFile(
    `--export: expected a flavour with a file of its own; ${folder} has ${names}. Leave --export out, and it is served as a Python program`,
  );
}

interface Mlmodel {
  readonly flavours: Readonly<Record<string, Section>>;
  readonly signature: Section;
}

function readMlmodel(folder: string): Mlmodel {
  const file = path.join(folder, 'MLmodel');
  const content = parseFile(file);
  const { flavors, signature } = isJsonObject(content) ? content : {};
  if (!isJsonObject(flavors) || Object.keys(flavors).length === 0) {
    throw wrongFile(
      `expected the flavors of the model in ${file}, as MLflow writes them; got ${shown(flavors)}`,
    );
  }
  const flavours = Object.entries(flavors).map(([name, flavour]) => [name, sectionFrom(flavour)]);
  return { flavours: Object.fromEntries(flavours), signature: sectionFrom(signature) };
}

function sectionFrom(value: unknown): Section {
  return isJsonObject(value) ? value : {};
}

/** Returns the shapes as `--shape` takes them; none if the signature leaves one open. It is JSON in a text of YAML. */
function shapesIn({ inputs }: Section): readonly string[] | undefined {
  const specs: unknown = typeof inputs === 'string' ? JSON.parse(inputs) : [];
  const shapes = (Array.isArray(specs) ? specs : []).map((spec) => {
    const { dtype, shape } = sectionFrom(sectionFrom(spec)['tensor-spec']);
    const sizes = Array.isArray(shape) ? shape.slice(1) : [-1];
    if (sizes.length === 0 || !sizes.every((size) => size > 0)) return undefined;
    return dtype === 'float32' ? sizes.join(',') : `${dtype}[${sizes.join(',')}]`;
  });
  return shapes.every((shape) => shape !== undefined) ? shapes : undefined;
}

function parseFile(file: string): unknown {
  try {
    return parseYaml(readFileSync(file, 'utf8'));
  } catch (thrown) {
    throw wrongFile(`expected YAML in ${file}; ${coerceError(thrown).message}`);
  }
}

function fileIn(folder: string, flavour: Section): string | undefined {
  const named = keysOfFiles.map((key) => flavour[key]).find((value) => typeof value === 'string');
  if (named === undefined) return undefined;
  const file = path.join(folder, named as string);
  const places = [file, ...filesOfFolders.map((name) => path.join(file, name))];
  return places.find(
    (place) =>
      existsSync(path.join(place, 'saved_model.pb')) ||
      statSync(place, { throwIfNoEntry: false })?.isFile(),
  );
}

interface Program {
  /** The folder of MLflow. */
  readonly from: string;
  /** The folder of the model. */
  readonly folder: string;
  readonly name: string;
  readonly description: string | undefined;
  readonly settings: Settings;
  /** The Python of the environment; without it, that of the worker. */
  readonly python: string | undefined;
  readonly say: (what: string, why: string) => void;
}

/**
 * Fills the folder of a model with a program, a copy of MLflow's folder, an environment and a manifest.
 * @throws ScorelineError `model_file_wrong`, `environment_failed`
 */
export async function makeMlflowProgram(program: Program): Promise<void> {
  const { from, folder, name, python } = program;
  if (!existsSync(path.join(from, 'requirements.txt'))) {
    throw wrongFile(
      `expected requirements.txt in ${from}, with mlflow and the packages of the model. Write it, such as from those of pip in conda.yaml`,
    );
  }
  if (!('python_function' in readMlmodel(from).flavours)) {
    throw wrongFile(
      `expected the flavour python_function in ${from}/MLmodel, which MLflow adds to models that answer in Python`,
    );
  }
  const exporters = path.join(packageDirectory(), 'exporters');
  cpSync(from, path.join(folder, copy), {
    recursive: true,
    dereference: true,
    filter: (file) => file === from || !isLeftOut.test(path.basename(file)),
  });
  copyFileSync(path.join(exporters, 'mlflow_program.py'), path.join(folder, 'predict.py'));
  program.say(
    'packages',
    `those of ${path.join(from, 'requirements.txt')}, in ${path.join(folder, '.venv')}`,
  );
  const log = makeLogger({ role: 'add', level: 'silent' });
  const own = await ensureEnvironment({ name, folder, requirements, python }, log);
  const result = path.join(folder, '.mlflow.json');
  const script = path.join(exporters, 'from_mlflow.py');
  const { code, signal } = await run(own, [script, path.resolve(folder), path.resolve(result)]);
  if (code !== 0) {
    throw wrongFile(
      `expected MLflow to load ${from}; ${signal ? `its Python was ended by ${signal}` : 'it failed, as said above'}`,
    );
  }
  const said = JSON.parse(readFileSync(result, 'utf8')) as Said;
  rmSync(result);
  for (const [what, why] of said.remarks) program.say(what, why);
  writeFileSync(path.join(folder, 'model.yaml'), await formatProgram(program, said));
}

/** What from_mlflow.py writes. */
interface Said {
  readonly sections: Section;
  readonly remarks: readonly (readonly [what: string, why: string])[];
}

async function formatProgram(
  { name, from, folder, description, settings }: Program,
  said: Said,
): Promise<string> {
  const guessed = {
    version: 1,
    description:
      description ?? `Made from ${path.basename(path.resolve(from))}, a model of MLflow.`,
    ...said.sections,
  };
  const { version, input, ...others } = merge(guessed, settings);
  const files = await describeFiles(folder);
  const lines = [
    '# Every key is explained in docs/manifest.md.',
    `name: ${name}`,
    '# Give a changed model a new version.',
    `version: ${flow(version)}`,
    'engine: python',
    `source: ${flow({ requirements, files })}`,
    ...formatInput(input as Section),
    ...Object.entries(others).map(([key, value]) => `${key}: ${flow(value)}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Describes the files of MLflow. Its modules and its list of packages belong to the code, which has a digest of its own. */
async function describeFiles(folder: string) {
  const names = readdirSync(path.join(folder, copy), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.py'))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((file) => file !== requirements)
    .sort();
  return Promise.all(
    names.map(async (file) => ({
      file,
      bytes: statSync(path.join(folder, file)).size,
      sha256: await sha256Of(path.join(folder, file)),
    })),
  );
}
