// JPEGs that are coded in the plainest way, as cameras and most programs write them: baseline, 8 bits, grey or YCbCr,
// and all components in one scan. Everything else is left to sharp.

export interface PlainJpeg {
  /** One or three, with those of a picture's brightness first. */
  readonly components: readonly Component[];
  readonly width: number;
  readonly height: number;
  /** By their numbers. Those of AC count from `acFrom` on. */
  readonly tables: ReadonlyMap<number, HuffmanTable>;
  /** After how many groups of blocks there is a restart marker. 0 for none. */
  readonly interval: number;
  /** Where the data begins. */
  readonly dataAt: number;
}

export interface Component {
  /** How many blocks a group has of it, in each direction. */
  readonly across: number;
  readonly down: number;
  /** The numbers of its tables. */
  readonly dc: number;
  readonly ac: number;
}

export interface HuffmanTable {
  /** How many codes have 1, 2, … 16 bits. */
  readonly counts: Uint8Array;
  /** What they mean, from the shortest on. */
  readonly symbols: Uint8Array;
}

/** A segment has no more tables, since the later one of two with the same number counts. */
const tablesMax = 8;
/** The numbers of tables from here on are those for AC. */
export const acFrom = 16;

type Sampling = Pick<Component, 'across' | 'down'>;

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly ids: readonly number[];
  readonly samplings: readonly Sampling[];
}

const markers = {
  startOfImage: 0xd8,
  startOfScan: 0xda,
  baseline: 0xc0,
  quantisation: 0xdb,
  huffman: 0xc4,
  restartInterval: 0xdd,
  comment: 0xfe,
  adobe: 0xee,
} as const;
const applications = { first: 0xe0, last: 0xef } as const;

/** Returns undefined for a JPEG that is not plain, or whose header is odd. */
export function readPlainJpeg(bytes: Buffer): PlainJpeg | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== markers.startOfImage) return undefined;
  const tables = new Map<number, HuffmanTable>();
  let frame: Frame | undefined;
  let interval = 0;
  for (let at = 2; at + 4 <= bytes.length; ) {
    const end = at + 2 + bytes.readUInt16BE(at + 2);
    if (bytes[at] !== 0xff || end > bytes.length) return undefined;
    const content = bytes.subarray(at + 4, end);
    switch (bytes[at + 1]) {
      case markers.startOfScan: {
        const components = frame && readScan(content, frame);
        if (!frame || !components) return undefined;
        const { width, height } = frame;
        return { components, width, height, tables, interval, dataAt: end };
      }
      case markers.baseline:
        if (frame) return undefined;
        frame = readFrame(content);
        if (!frame) return undefined;
        break;
      case markers.huffman:
        if (!readTables(content, tables)) return undefined;
        break;
      case markers.restartInterval:
        if (content.length !== 2) return undefined;
        interval = content.readUInt16BE();
        break;
      case markers.adobe:
        if (!saysYcbcr(content)) return undefined;
        break;
      case markers.quantisation:
        if (!hasTablesOf8Bits(content)) return undefined;
        break;
      case markers.comment:
        break;
      default:
        if (!isApplication(bytes[at + 1] as number)) return undefined;
    }
    at = end;
  }
  return undefined;
}

/** Baseline has no tables of 16 bits. Decoders overflow with them, each in its own way. */
function hasTablesOf8Bits(content: Buffer): boolean {
  const tableBytes = 1 + 64;
  const numbers = content.filter((_, at) => at % tableBytes === 0);
  return content.length % tableBytes === 0 && numbers.every((number) => number < 16);
}

/** Whether the segment is for other programs, such as Exif. */
function isApplication(code: number): boolean {
  return code >= applications.first && code <= applications.last;
}

function readFrame(content: Buffer): Frame | undefined {
  const [bits, count] = [content[0], content[5]];
  if (bits !== 8 || (count !== 1 && count !== 3)) return undefined;
  if (content.length !== 6 + 3 * count) return undefined;
  const parts = Array.from({ length: count }, (_, at) => content.subarray(6 + 3 * at));
  const ids = parts.map(([id]) => id as number);
  const samplings = parts.map(([, code = 0]) => ({ across: code >> 4, down: code & 15 }));
  if (count === 3 && !isYcbcr(ids)) return undefined;
  if (!isUsual(samplings)) return undefined;
  return { width: content.readUInt16BE(3), height: content.readUInt16BE(1), ids, samplings };
}

/** Some programs count the components from 0. Other numbers may mean that they are red, green and blue. */
function isYcbcr([first = 0, second, third]: readonly number[]): boolean {
  return first <= 1 && second === first + 1 && third === first + 2;
}

/** Whether the colours have the resolution of the picture, or half of it in one or both directions. */
function isUsual([luma, ...colours]: readonly Sampling[]): boolean {
  const isOneOf = ({ across, down }: Sampling, max: number) =>
    across >= 1 && down >= 1 && across <= max && down <= max;
  if (!luma || !isOneOf(luma, colours.length > 0 ? 2 : 1)) return false;
  return colours.every((colour) => isOneOf(colour, 1));
}

/** Adobe's segment says of a picture with three components whether they are YCbCr (1) or red, green and blue (0). */
function saysYcbcr(content: Buffer): boolean {
  return content.toString('latin1', 0, 5) !== 'Adobe' || content[11] === 1;
}

/** Returns the components of a scan if it has all of them in their order, and all of their coefficients. */
function readScan(content: Buffer, { ids, samplings }: Frame): Component[] | undefined {
  const rest = 1 + 2 * ids.length;
  if (content[0] !== ids.length || content.length !== rest + 3) return undefined;
  if (content[rest] !== 0 || content[rest + 1] !== 63 || content[rest + 2] !== 0) return undefined;
  const components: Component[] = [];
  for (const [at, sampling] of samplings.entries()) {
    const [id, numbers] = [content[1 + 2 * at], content[2 + 2 * at] as number];
    if (id !== ids[at]) return undefined;
    components.push({ ...sampling, dc: numbers >> 4, ac: acFrom + (numbers & 15) });
  }
  return components;
}

/** @returns whether the tables are as they should be */
function readTables(content: Buffer, tables: Map<number, HuffmanTable>): boolean {
  let at = 0;
  for (let count = 0; count < tablesMax && at + 17 <= content.length; count++) {
    if (((content[at] as number) & ~(acFrom | 3)) !== 0) return false;
    const counts = content.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const symbols = content.subarray(at + 17, at + 17 + total);
    if (total > 256 || symbols.length < total) return false;
    tables.set(content[at] as number, { counts, symbols });
    at += 17 + total;
  }
  return at === content.length;
}
