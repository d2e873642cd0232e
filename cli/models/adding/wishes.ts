// What the user wants of `models add`, by its parameters.

import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import {
  nameExpected,
  namePattern,
  versionExpected,
  versionPattern,
} from '../../../shared/manifest/manifest.js';
import { parseArguments } from '../../arguments.js';
import { misused, wrongFile } from '../../faults.js';
import { describeExport, type ExportWishes } from '../export.js';
import { type Format, formatOf, networkName } from '../format.js';
import { type Companions, readCompanions } from './companions.js';
import { type Kind, kinds } from './hints.js';
import { describeAddress, type FlavourFile, fileOfFlavour, isAddress } from './mlflow.js';
import { readSettings, type Settings, sectionOf } from './settings.js';

export const addUsage =
  'add FILE [--name NAME] [--version V] [--kind text|image|table|tensors] [--labels FILE] [--tokenizer FILE] [--columns NAME,NAME,…] [--set KEY=VALUE …] [--description TEXT] [--export [--python PATH] [--shape SIZES]]';

export interface Wishes extends ExportWishes {
  /** What the user named. */
  readonly file: string;
  readonly format: Format;
  readonly isExport: boolean;
  readonly name: string;
  /** The version of a model that is there already, or of a new one. */
  readonly version: string | undefined;
  readonly kind: Kind | undefined;
  readonly labels: string | undefined;
  readonly columns: readonly string[] | undefined;
  /** Whether the user named a tokenizer.json. */
  readonly hasTokenizer: boolean;
  readonly settings: Settings;
  readonly description: string | undefined;
  readonly companions: Companions;
}

/** @throws ScorelineError */
export function readWishes(parameters: readonly string[]): Wishes {
  const { values, positionals } = parseWishes(parameters);
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0)
    throw misused(parameters, `Usage: npm run models -- ${addUsage}`);
  if (!existsSync(file)) {
    throw wrongFile(
      isAddress(file) ? describeAddress(file) : `expected a file; there is no ${file}`,
    );
  }
  const { tokenizer, python, labels, description } = values;
  if (tokenizer !== undefined && !existsSync(tokenizer)) {
    throw wrongFile(
      `--tokenizer: expected the tokenizer.json of the network; there is no ${tokenizer}`,
    );
  }
  const isExport = values.export === true;
  const { file: own, format, ...found } = modelFileOf(file, { isExport });
  const shape = values.shape ?? found.shape ?? [];
  if (format === 'mlflow') refuseFlags(file, values);
  else if (format !== 'onnx' && !isExport) throw wrongFile(describeExport({ file, format, shape }));
  const name = values.name ?? nameOf(format === 'onnx' ? own : file);
  if (!namePattern.test(name)) {
    throw wrongFile(`--name: ${nameExpected}; got ${name}`);
  }
  const { version } = values;
  if (version !== undefined && !versionPattern.test(version)) {
    throw wrongFile(`--version: ${versionExpected}; got ${version}`);
  }
  const settings = { ...readSettings(values.set ?? []), ...(version !== undefined && { version }) };
  return {
    ...{ file: own, format, isExport, python, shape, name, version, labels, description, settings },
    kind: readKind(values.kind, settings),
    hasTokenizer: tokenizer !== undefined,
    columns: values.columns?.split(',').map((column) => column.trim()),
    companions: readCompanions(own, tokenizer),
  };
}

/** Returns the file that a folder of MLflow or of an ONNX network leads to, and the named one otherwise. */
function modelFileOf(file: string, { isExport }: { isExport: boolean }): FlavourFile {
  const format = formatOf(file);
  if (format === 'mlflow') return fileOfFlavour(file, { isExport });
  const isFolder = format === 'onnx' && statSync(file).isDirectory();
  return { file: isFolder ? path.join(file, networkName) : file, format };
}

function refuseFlags(folder: string, values: ReturnType<typeof parseWishes>['values']): void {
  const other = (['kind', 'labels', 'tokenizer', 'columns', 'shape'] as const).find(
    (name) => values[name] !== undefined,
  );
  if (other === undefined) return;
  throw wrongFile(
    `--${other}: expected it with a network; ${folder} is served as a program, whose inputs and answers are those that MLflow's signature says. With --export, it becomes a network`,
  );
}

function readKind(given: string | undefined, settings: Settings): Kind | undefined {
  const wanted = given ?? sectionOf(settings, 'input').kind;
  const kind = kinds.find((known) => known === wanted);
  if (wanted === undefined || kind) return kind;
  throw wrongFile(`--kind: expected one of ${kinds.join(', ')}; got ${wanted}`);
}

function parseWishes(args: readonly string[]) {
  try {
    return parseArguments({
      args: [...args],
      allowPositionals: true,
      options: {
        name: { type: 'string' },
        version: { type: 'string' },
        kind: { type: 'string' },
        labels: { type: 'string' },
        tokenizer: { type: 'string' },
        columns: { type: 'string' },
        set: { type: 'string', multiple: true },
        description: { type: 'string' },
        export: { type: 'boolean' },
        python: { type: 'string' },
        shape: { type: 'string', multiple: true },
      },
    });
  } catch (thrown) {
    throw wrongFile(`${(thrown as Error).message} Usage: npm run models -- ${addUsage}`);
  }
}

/** A file named model.onnx is named by its folder, and one in the folder of a version, as Triton has them, by the model's. */
function nameOf(file: string): string {
  const stem = path.basename(file, path.extname(file));
  const folders = path.dirname(path.resolve(file)).split(path.sep);
  const folder = folders.findLast((name) => !/^\d+$/.test(name)) ?? '';
  const name = stem === 'model' ? folder : stem;
  return name.replaceAll(/[^A-Za-z0-9._]+/g, '-').replaceAll(/^[-._]+|-+$/g, '');
}
