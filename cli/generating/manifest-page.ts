// Writes docs/manifest.md from the schema of manifests: each key with its values, its default and its meaning.

import { z } from 'zod';
import { scoresExampleSchema, tensorsExampleSchema } from '../../shared/manifest/example.js';
import { manifestSchema } from '../../shared/manifest/manifest.js';
import { makeKeyRows, type Rows, type Schema, variantsOf } from './schema-rows.js';

/** What stands before the keys of a section, beside the description of its schema. */
const introductions: Readonly<Record<string, string>> = {
  'source with engine: onnx':
    'The ONNX file. [models.md](models.md#what-a-model-file-cannot-do) says how files are verified.',
  'source with engine: python': 'A Python program ([python.md](python.md)).',
  'input of the kind text':
    'With a tokenizer, see [texts to tokens](models.md#texts-to-tokens) as well.',
  'input of the kind image': '[Pictures](models.md#pictures) has the keys for the usual trainings.',
  'input of the kind table': '[Tables](models.md#tables) says more about columns.',
  'input of the kind json':
    'Any JSON, for [a Python program](python.md#json-in-json-out), which gets it as json.loads reads it.',
  'input of the kind file':
    'A file of any format, for [a Python program](python.md#a-file-in-json-out), which gets its bytes.',
  'input of the kind tensors':
    'The inputs of the network themselves ([tensors](models.md#tensors)).',
  'output of the kind ranking or classification':
    'See also [labels](models.md#labels), [several labels](models.md#several-labels) and [inputs that the model does not know](models.md#inputs-that-the-model-does-not-know).',
  'output of the kind regression': 'One number ([tables](models.md#tables)).',
  'output of the kind embedding': 'A vector ([embeddings](models.md#embeddings)).',
  'output of the kind json': 'Any JSON, from [a Python program](python.md#json-in-json-out).',
  'output of the kind tensors':
    'The outputs of the network themselves ([tensors](models.md#tensors)). It is the only kind for an input of the kind `tensors`.',
  outputs: 'See [several outputs](models.md#several-outputs).',
  network: 'See [tensors](models.md#tensors) and [the protocol](inference-protocol.md).',
  jobs: 'See [jobs.md](jobs.md).',
  cache: 'See [cache.md](cache.md).',
  scaling: 'See [scaling.md](scaling.md).',
  slo: 'See [goals of a model](monitoring.md#goals-of-a-model).',
  'example for inputs of the kind tensors':
    'The elements are those of a request in JSON ([tensors](models.md#tensors)).',
};

/** Returns the page. `header` says that it is generated. */
export function manifestPage(header: string): string {
  const whole = toSchema(manifestSchema);
  const rows = makeKeyRows();
  const keys = Object.entries(whole.properties ?? {});
  const isPlain = ([, field]: [string, Schema]) =>
    variantsOf(field).every(({ type }) => type !== 'object' && type !== undefined);
  const plain = Object.fromEntries(keys.filter(isPlain));
  const required = whole.required?.filter((key) => !(key in plain)).map((key) => `\`${key}\``);
  const sections = keys
    .filter((entry) => !isPlain(entry))
    .flatMap(([key, field]) => [...sectionsOf(rows, key, field)]);
  return `# The manifest

${header}

Each model has a manifest, \`models/<name>/model.yaml\`. These are all its keys; [models.md](models.md) explains how they
work together. A name such as \`batch.max\` means the key \`max\` in the map \`batch\`, and \`[]\` stands for each entry of a list. Numbers have the
unit that their name ends in: \`Ms\` are milliseconds. Of the maps, ${required?.join(', ')} are required.

If a key is wrong, the model is left out, and the others are served. The error names the file, the key, what
was expected and what it got.

## The model

${rows.table({ type: 'object', properties: plain, required: whole.required ?? [] }, '')}
${sections.join('\n')}`;
}

function* sectionsOf(rows: Rows, key: string, field: Schema): Generator<string> {
  if (key === 'example') {
    const forms = [
      [key, scoresExampleSchema],
      [`${key} for inputs of the kind tensors`, tensorsExampleSchema],
    ] as const;
    for (const [title, schema] of forms) {
      yield section(title, field.description, rows.table(toSchema(schema), `${key}.`));
    }
    return;
  }
  const variants = variantsOf(field);
  for (const variant of variants) {
    const title = variants.length === 1 ? key : `${key} ${nameOf(variant)}`;
    if (typeof variant.additionalProperties === 'object') {
      const heads = variantsOf(variant.additionalProperties);
      yield section(title, field.description, rows.kinds(heads, `${key}.NAME.`));
    } else {
      yield section(title, field.description, rows.table(variant, `${key}.`));
    }
  }
}

function section(title: string, description: string | undefined, table: string): string {
  const introduction = [description, introductions[title]].filter(Boolean).join(' ');
  if (introduction === '') throw new Error(`Expected a description of ${title} in the manifest`);
  return `## ${title}\n\n${introduction}\n\n${table}`;
}

function nameOf({ properties = {} }: Schema): string {
  const { engine, kind } = properties;
  if (engine) return `with engine: ${engine.const}`;
  return `of the kind ${kind?.const ?? kind?.enum?.join(' or ')}`;
}

function toSchema(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema;
}
