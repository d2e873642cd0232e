// Whether the data of a plain JPEG is whole. All of its codes are read, without making pixels of them.
//
// Decoders fill up what is missing. They warn of it at most, and only if it is in the rows that are asked for.

import { type Instance, kernelOf, Places } from '../wasm.js';
import { acFrom, type Component, type HuffmanTable, type PlainJpeg } from './header.js';
import { kernelBytes } from './kernel-bytes.js';

/**
 * - `whole`: there is a code for each coefficient, and nothing but the end of the picture follows
 * - `damaged`: data is missing, or bytes mean nothing
 * - `unclear`: there is more than belongs there, or a table is missing
 */
export type Verdict = (typeof verdicts)[number];
const verdicts = ['whole', 'unclear', 'damaged'] as const;

interface Functions {
  /** The kernel's `check` returns the place of its verdict. */
  check(
    from: number,
    to: number,
    units: number,
    interval: number,
    tables: number,
    blocks: number,
  ): number;
}

/** As in ./assembly/kernel.ts. */
const quickBits = 10;
const largestAt = 2048;
const offsetAt = 2116;
const longAt = 2184;
const tableBytes = longAt + 2 * 256;
const impossible = 0xffff;
const blockEnd = 127;

const blockSide = 8;
/** A megabyte takes about 10 ms. */
const dataBytesMax = 1024 * 1024;

const makeKernel = kernelOf<Functions>(kernelBytes);
let kernel: Instance<Functions> | undefined;

export function checkData(bytes: Buffer, jpeg: PlainJpeg): Verdict {
  const data = bytes.subarray(jpeg.dataAt, jpeg.dataAt + dataBytesMax);
  const places = new Places();
  const tableAt = new Map([...jpeg.tables.keys()].map((id) => [id, places.take(tableBytes)]));
  const pairs: number[] = [];
  for (const component of jpeg.components) {
    const [dc, ac] = [tableAt.get(component.dc), tableAt.get(component.ac)];
    if (dc === undefined || ac === undefined) return 'unclear';
    for (let block = 0; block < blocksOf(component); block++) pairs.push(dc, ac);
  }
  const pairsAt = places.take(pairs.length * 4);
  const dataAt = places.take(data.length);
  kernel ??= makeKernel();
  const memory = kernel.memoryOf(places.end);
  for (const [id, at] of tableAt) {
    const isRight = writeTable(memory, at, id, jpeg.tables.get(id) as HuffmanTable);
    if (!isRight) return 'unclear';
  }
  memory.set(new Uint8Array(Uint32Array.from(pairs).buffer), pairsAt);
  memory.set(data, dataAt);
  const end = dataAt + data.length;
  const place = kernel.functions.check(
    dataAt,
    end,
    unitsOf(jpeg),
    jpeg.interval,
    pairsAt,
    pairs.length / 2,
  );
  const isCutOff = data.length === dataBytesMax;
  return isCutOff ? 'unclear' : (verdicts[place] as Verdict);
}

function blocksOf({ across, down }: Component): number {
  return across * down;
}

/** How many groups of blocks the picture has. */
function unitsOf({ components, width, height }: PlainJpeg): number {
  const { across, down } = components[0] as Component;
  return Math.ceil(width / (blockSide * across)) * Math.ceil(height / (blockSide * down));
}

/** @returns whether the codes are possible */
function writeTable(memory: Uint8Array, at: number, id: number, table: HuffmanTable): boolean {
  const quick = new Uint16Array(memory.buffer, at, 2 ** quickBits).fill(0);
  const largest = new Int32Array(memory.buffer, at + largestAt, 17).fill(-1);
  const offset = new Int32Array(memory.buffer, at + offsetAt, 17);
  const long = new Uint16Array(memory.buffer, at + longAt, 256);
  const entryOf = id < acFrom ? dcEntry : acEntry;
  let code = 0;
  let place = 0;
  for (const [index, count] of table.counts.entries()) {
    const length = index + 1;
    if (code + count > 2 ** length) return false;
    offset[length] = place - code;
    if (count > 0) largest[length] = code + count - 1;
    const spare = quickBits - length;
    for (let own = 0; own < count; own++, code++, place++) {
      const entry = entryOf(table.symbols[place] as number, length);
      long[place] = entry;
      if (spare >= 0) quick.fill(entry, code << spare, (code + 1) << spare);
    }
    code *= 2;
  }
  return true;
}

/** A symbol says how many bits of a number follow. */
function dcEntry(symbol: number, length: number): number {
  return symbol > 11 ? impossible : (1 << 5) | (length + symbol);
}

/** A symbol says how many zeros come first, and how many bits of a number follow. */
function acEntry(symbol: number, length: number): number {
  const [zeros, size] = [symbol >> 4, symbol & 15];
  if (size > 0) return ((zeros + 1) << 5) | (length + size);
  return zeros === 15 ? (1 << 12) | (16 << 5) | length : (blockEnd << 5) | length;
}
