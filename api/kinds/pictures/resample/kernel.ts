// The compiled kernel (./assembly/kernel.ts) with its memory, for one picture at a time.

import type { Region, Size } from '../fit.js';
import type { Pixels } from '../pixels.js';
import { kernelOf, Places } from '../wasm.js';
import type { Taps } from './filters.js';
import { kernelBytes } from './kernel-bytes.js';

interface Functions {
  greyToRgb(from: number, to: number, width: number): void;
  resizeRow(
    from: number,
    to: number,
    width: number,
    first: number,
    weights: number,
    count: number,
    bits: number,
  ): void;
  addRows(
    from: number,
    rowBytes: number,
    to: number,
    weights: number,
    count: number,
    bits: number,
  ): void;
}

const channels = 3;
/** How far the kernel reads or writes past the end of a row at most. */
const overrun = 64;

const makeInstance = kernelOf<Functions>(kernelBytes);

export class Kernel {
  readonly #instance = makeInstance();

  /** How much memory it has. */
  get bytes(): number {
    return this.#instance.bytes;
  }

  /** Begins with a picture. The one before must have its result. */
  begin(region: Region, to: Size, way: Way): Resizing {
    const { across, down } = way;
    const places = layOut(region, to, way);
    const memory = this.#instance.memoryOf(places.end);
    put(memory, places.acrossFirst, across.first);
    put(memory, places.acrossWeights, across.weights);
    put(memory, places.downWeights, down.weights);
    return new Resizing(this.#instance.functions, memory, { region, to, ...way, places });
  }
}

/** Where the places of the result come from. */
interface Way {
  readonly across: Taps;
  readonly down: Taps;
  /** How many rows of the picture count. */
  readonly rowCount: number;
  /** For each row of the result: which of those is the first that it is made of. */
  readonly slots: Int32Array;
}

interface Plan extends Way {
  readonly region: Region;
  readonly to: Size;
  readonly places: ReturnType<typeof layOut>;
}

/** The way of one picture through the kernel. */
class Resizing {
  readonly #functions: Functions;
  readonly #memory: Uint8Array;
  readonly #plan: Plan;

  constructor(functions: Functions, memory: Uint8Array, plan: Plan) {
    this.#functions = functions;
    this.#memory = memory;
    this.#plan = plan;
  }

  /** @param row of the region, which is the one with the number `slot` that counts */
  resizeRow(pixels: Pixels, row: number, slot: number): void {
    const { to, across, places } = this.#plan;
    this.#copyRow(pixels, row);
    this.#functions.resizeRow(
      places.row,
      places.rows + slot * to.width * channels,
      to.width,
      places.acrossFirst,
      places.acrossWeights,
      across.count,
      across.bits,
    );
  }

  /** @param row of the result. The rows that it is made of have been resized. */
  addRows(row: number): void {
    const { to, down, slots, places } = this.#plan;
    const rowBytes = to.width * channels;
    this.#functions.addRows(
      places.rows + (slots[row] as number) * rowBytes,
      rowBytes,
      places.result + row * rowBytes,
      places.downWeights + row * down.count * down.weights.BYTES_PER_ELEMENT,
      down.count,
      down.bits,
    );
  }

  result(): Buffer {
    const { to, places } = this.#plan;
    const end = places.result + to.height * to.width * channels;
    return Buffer.from(this.#memory.subarray(places.result, end));
  }

  #copyRow({ data, width, channels: given }: Pixels, row: number): void {
    const { region, places } = this.#plan;
    const start = ((region.top + row) * width + region.left) * given;
    const part = data.subarray(start, start + region.width * given);
    this.#memory.set(part, given === channels ? places.row : places.greyRow);
    if (given !== channels) this.#functions.greyToRgb(places.greyRow, places.row, region.width);
  }
}

/** Says where everything lies in the memory. */
function layOut(region: Size, to: Size, { across, down, rowCount }: Way) {
  const places = new Places(overrun);
  const rowBytes = to.width * channels;
  return {
    acrossFirst: places.take(across.first.byteLength),
    acrossWeights: places.take(across.weights.byteLength),
    downWeights: places.take(down.weights.byteLength),
    greyRow: places.take(region.width),
    /** One row of the picture in RGB. */
    row: places.take((region.width + across.count) * channels),
    /** The resized rows. */
    rows: places.take((rowCount + down.count) * rowBytes),
    result: places.take(to.height * rowBytes),
    end: places.end,
  };
}

function put(memory: Uint8Array, at: number, values: Int32Array | Int16Array): void {
  memory.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
}
