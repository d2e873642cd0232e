// WebAssembly: the doors to kernels that were compiled from AssemblyScript (cli/generating/assembly.ts).

/** What is used of it here. TypeScript declares it for browsers only. */
interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (options: { initial: number }) => Memory;
  readonly Instance: new (
    module: object,
    imports: { env: { memory: Memory } },
  ) => { readonly exports: object };
};

const pageBytes = 65_536;
const alignment = 16;

/** A kernel with a memory of its own, which never shrinks. */
export interface Instance<Functions> {
  readonly functions: Functions;
  readonly bytes: number;
  /** Returns the memory, with so many bytes or more. What was returned before is of no use then. */
  memoryOf(bytes: number): Uint8Array;
}

/** @returns what makes instances of a kernel. It is compiled for the first of them. */
export function kernelOf<Functions>(base64: string): () => Instance<Functions> {
  let compiled: object | undefined;
  return () => {
    compiled ??= new WebAssembly.Module(Buffer.from(base64, 'base64'));
    const memory = new WebAssembly.Memory({ initial: 1 });
    const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
    return {
      functions: exports as Functions,
      get bytes() {
        return memory.buffer.byteLength;
      },
      memoryOf(bytes) {
        const missing = bytes - memory.buffer.byteLength;
        if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
        return new Uint8Array(memory.buffer);
      },
    };
  };
}

/** Gives out places in a memory, one after the other. */
export class Places {
  #end = 0;
  readonly #overrun: number;

  /** @param overrun how many bytes lie between two places at least */
  constructor(overrun = 0) {
    this.#overrun = overrun;
  }

  get end(): number {
    return this.#end;
  }

  /** @returns the address */
  take(bytes: number): number {
    const start = Math.ceil(this.#end / alignment) * alignment;
    this.#end = start + bytes + this.#overrun;
    return start;
  }
}
