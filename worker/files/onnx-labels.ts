// What an ONNX file says of its model beside the network. Its labels are in the metadata, as exporters of picture
// networks write them, or in a classifier's operator, as skl2onnx writes them. Our exporters also write sections of
// the manifest. Most exporters write their own name.

import { ProtocolBuffer, type Span, UnreadableBuffer } from './protocol-buffer.js';

/** The numbers of fields in onnx.proto. */
const fields = {
  model: { producer: 2, graph: 7, metadata: 14 },
  graph: { node: 1 },
  node: { attribute: 5 },
  attribute: { name: 1, strings: 9 },
  entry: { key: 1, value: 2 },
};
const metadataKey = /^(labels|label_names|class_names|classes|names)$/i;
/** The key that exporters/onnx_file.py writes. */
const manifestKey = /^scoreline$/;
const metadataBytesMax = 4 * 1024 * 1024;

/** Returns the labels in the order of the scores, or undefined if the file has none. */
export function readOnnxLabels(file: string): string[] | undefined {
  return read(file, (buffer) => {
    const text = readMetadata(buffer, metadataKey);
    return (text === undefined ? undefined : parseLabels(text)) ?? labelsOfOperators(buffer);
  });
}

/** Returns the text of the sections of a manifest, in JSON, or undefined if the file has none. */
export function readOnnxManifest(file: string): string | undefined {
  return read(file, (buffer) => readMetadata(buffer, manifestKey));
}

/** Returns all metadata; none if it cannot be read. */
export function readOnnxMetadata(file: string): ReadonlyMap<string, string> {
  const pairs = read(file, (buffer) =>
    entriesOf(buffer).map(([key, value]) => [key, buffer.text(value, metadataBytesMax)] as const),
  );
  return new Map(pairs);
}

/** Returns the name of the program that has written the file, or undefined if it does not say. */
export function readOnnxProducer(file: string): string | undefined {
  return read(file, (buffer) => {
    const [producer] = inner(buffer, buffer.span, fields.model.producer);
    return producer && buffer.text(producer);
  });
}

function read<Found>(
  file: string,
  find: (buffer: ProtocolBuffer) => Found | undefined,
): Found | undefined {
  const buffer = new ProtocolBuffer(file);
  try {
    return find(buffer);
  } catch (thrown) {
    // The file itself is checked elsewhere. Names that are too long are none that we can read.
    if (thrown instanceof UnreadableBuffer) return undefined;
    throw thrown;
  } finally {
    buffer.close();
  }
}

function labelsOfOperators(buffer: ProtocolBuffer): string[] | undefined {
  for (const graph of inner(buffer, buffer.span, fields.model.graph)) {
    for (const node of inner(buffer, graph, fields.graph.node)) {
      for (const attribute of inner(buffer, node, fields.node.attribute)) {
        const [name] = inner(buffer, attribute, fields.attribute.name);
        if (!name || buffer.text(name) !== 'classlabels_strings') continue;
        const texts = inner(buffer, attribute, fields.attribute.strings);
        if (texts.length > 0) return texts.map((text) => buffer.text(text));
      }
    }
  }
  return undefined;
}

function readMetadata(buffer: ProtocolBuffer, wanted: RegExp): string | undefined {
  const [, value] = entriesOf(buffer).find(([key]) => wanted.test(key)) ?? [];
  return value && buffer.text(value, metadataBytesMax);
}

function entriesOf(buffer: ProtocolBuffer): [key: string, value: Span][] {
  return inner(buffer, buffer.span, fields.model.metadata).flatMap((entry) => {
    const [key] = inner(buffer, entry, fields.entry.key);
    const [value] = inner(buffer, entry, fields.entry.value);
    return key && value ? [[buffer.text(key), value]] : [];
  });
}

/** Reads a JSON array, a dict of Python from index to name, or a line for each label. */
function parseLabels(text: string): string[] | undefined {
  const trimmed = text.trim();
  if (trimmed.startsWith('[')) {
    try {
      const parsed: unknown = JSON.parse(trimmed);
      return Array.isArray(parsed) ? parsed.map(String) : undefined;
    } catch {
      return undefined;
    }
  }
  if (trimmed.startsWith('{')) {
    const pairs = [...trimmed.matchAll(/["']?(?<!\d)(\d+)["']?\s*:\s*(?:"([^"]*)"|'([^']*)')/g)];
    const labels = pairs.map(([, , double, single]) => double ?? single ?? '');
    return pairs.every(([, index], at) => Number(index) === at) ? labels : undefined;
  }
  return trimmed === '' ? undefined : trimmed.split(/\r?\n/);
}

function inner(buffer: ProtocolBuffer, span: Span, number: number): Span[] {
  return [...buffer.fields(span)].filter((field) => field.number === number);
}
