// Writes the folder of an FAQ: a model like any other, whose graph begins with that of the embeddings.

import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../shared/errors.js';
import { linkFile } from '../shared/files/link-file.js';
import { sha256Of } from '../shared/files/sha256.js';
import { readTextIfAny } from '../shared/files/text-file.js';
import { describedFiles, type SourceFile } from '../shared/manifest/manifest.js';
import { filesOf } from '../shared/registry/files.js';
import type { Model } from '../shared/registry/models.js';
import type { Entry } from './entries.js';

const graphName = 'model.onnx';
const questionsName = 'questions.json';
const manifestName = 'model.yaml';
const madeHere = '# Made by `npm run faq`.';

export interface FaqFolder {
  readonly name: string;
  readonly folder: string;
  readonly description: string;
  readonly entries: readonly Entry[];
  readonly graph: Buffer;
}

/** Whether a folder was written here. A ranking that somebody trained looks much the same. */
export function isFaqFolder(folder: string): boolean {
  return readTextIfAny(path.join(folder, manifestName))?.startsWith(madeHere) ?? false;
}

/** Writes the files anew, and leaves others in the folder alone. `base` is the model of the embeddings. */
export async function writeFolder(base: Model, faq: FaqFolder): Promise<void> {
  const { folder, entries, graph } = faq;
  mkdirSync(folder, { recursive: true });
  const [, ...others] = filesOf(base);
  // A file that a worker has open stays as it is.
  const names = [manifestName, questionsName, graphName, ...others.map(({ file }) => file)];
  for (const name of names) rmSync(path.join(folder, name), { force: true });
  for (const { file, path: from } of others) linkFile(from, path.join(folder, file));
  writeFileSync(path.join(folder, graphName), graph);
  const questions = entries.map(({ question, answer }, at) => ({
    ...{ id: at + 1, answerId: at + 1 },
    ...{ question, answer },
  }));
  writeFileSync(path.join(folder, questionsName), `${JSON.stringify(questions, null, 2)}\n`);
  writeFileSync(path.join(folder, manifestName), await formatManifest(base, faq));
}

async function formatManifest(base: Model, faq: FaqFolder): Promise<string> {
  const { source, input } = base.manifest;
  if (source.engine !== 'onnx' || input.kind !== 'text') throw unfit(base);
  const file = path.join(faq.folder, graphName);
  const graph = { file: graphName, bytes: statSync(file).size, sha256: await sha256Of(file) };
  const tokenizer = source.tokenizer && flow(source.tokenizer);
  const lines = [
    `${madeHere} Every key is explained in docs/manifest.md.`,
    `name: ${faq.name}`,
    // The files decide the name of the queue, so a new FAQ needs no new version.
    'version: 1',
    `description: ${JSON.stringify(faq.description)}`,
    'source:',
    `  file: ${graph.file}`,
    `  bytes: ${graph.bytes}`,
    `  sha256: ${graph.sha256}`,
    `  externalData: [${source.externalData.map(flow).join(', ')}]`,
    ...(tokenizer ? [`  tokenizer: ${tokenizer}`] : []),
    `input: ${JSON.stringify(input)}`,
    'output: { kind: ranking, labels: questions.json, known: known, top: 3 }',
    'network:',
    '  inputs:',
    '    - { name: text, datatype: BYTES, shape: [-1] }',
    '  outputs:',
    `    - { name: probabilities, datatype: FP32, shape: [-1, ${faq.entries.length}] }`,
    '    - { name: known, datatype: FP32, shape: [-1] }',
    `batch: { max: ${base.manifest.batch.max} }`,
    'device: { type: cpu, threads: 1 }',
    `example: { input: ${JSON.stringify(faq.entries[0]?.question)}, expected: { label: ${JSON.stringify(faq.entries[0]?.question)} } }`,
  ];
  return `${lines.join('\n')}\n`;
}

/** JSON is YAML. */
function flow({ file, bytes, sha256, urls, archive }: SourceFile): string {
  return JSON.stringify({ file, bytes, sha256, urls, ...(archive && { archive }) });
}

/** @throws ScorelineError `configuration_invalid` if a model makes no embeddings of texts in its graph */
export function checkBase(base: Model): number {
  const { input, output } = base.manifest;
  const isFit = input.kind === 'text' && output.kind === 'embedding' && output.pooling === 'none';
  if (!isFit || describedFiles(base.manifest.source).length < 2) throw unfit(base);
  return output.dimension;
}

function unfit({ name }: Model): ScorelineError {
  return new ScorelineError(
    'configuration_invalid',
    `Expected a model whose graph makes an embedding of a text, with pooling: none; got ${name}.`,
  );
}
