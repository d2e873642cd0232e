// The frames between the worker and the process of a Python program. host.py says what they are made of.

import type { Duplex } from 'node:stream';
import type { Tensor, TensorHead } from '../../../shared/tensors/tensors.js';

/** The bytes of the two sizes that precede a header. */
const headBytes = 12;
/** A header names tensors and explains failures. */
const headerBytesMax = 16 * 1024 * 1024;

interface FramedTensor extends TensorHead {
  readonly bytes: number;
}

export interface Frame<Header> {
  readonly header: Header;
  readonly tensors: readonly Tensor[];
}

/** Writes a frame. The memory of the tensors must not change until it is written. */
export function writeFrame(stream: Duplex, header: object, tensors: readonly Tensor[]): void {
  const heads: FramedTensor[] = tensors.map(({ name, datatype, shape, data }) => ({
    name,
    datatype,
    shape,
    bytes: data.byteLength,
  }));
  const text = Buffer.from(JSON.stringify({ ...header, tensors: heads }));
  const head = Buffer.allocUnsafe(headBytes);
  head.writeUInt32LE(text.length, 0);
  head.writeBigUInt64LE(BigInt(heads.reduce((sum, { bytes }) => sum + bytes, 0)), 4);
  stream.cork();
  stream.write(head);
  stream.write(text);
  for (const { data } of tensors) stream.write(data);
  stream.uncork();
}

/** Puts frames together from the pieces in which a stream delivers them. */
export class FrameReader<Header> {
  readonly #onFrame: (frame: Frame<Header>) => void;
  #part = Buffer.alloc(headBytes);
  #filled = 0;
  /** The bytes of the header in `#part`, once its size is known. */
  #headerBytes: number | undefined;

  constructor(onFrame: (frame: Frame<Header>) => void) {
    this.#onFrame = onFrame;
  }

  /** @throws Error if this cannot be a frame */
  read(piece: Buffer): void {
    for (let at = 0; at < piece.length || this.#filled === this.#part.length; ) {
      const copied = piece.copy(this.#part, this.#filled, at);
      at += copied;
      this.#filled += copied;
      if (this.#filled < this.#part.length) return;
      if (this.#headerBytes === undefined) this.#makeRoom();
      else this.#finish(this.#headerBytes);
    }
  }

  #makeRoom(): void {
    const headerBytes = this.#part.readUInt32LE(0);
    const dataBytes = Number(this.#part.readBigUInt64LE(4));
    if (headerBytes > headerBytesMax) {
      throw new Error(`Expected a header of at most ${headerBytesMax} bytes; got ${headerBytes}.`);
    }
    this.#headerBytes = headerBytes;
    this.#part = Buffer.allocUnsafeSlow(headerBytes + dataBytes);
    this.#filled = 0;
  }

  #finish(headerBytes: number): void {
    const whole = this.#part;
    this.#part = Buffer.alloc(headBytes);
    this.#filled = 0;
    this.#headerBytes = undefined;
    const { tensors, ...header } = JSON.parse(whole.toString('utf8', 0, headerBytes)) as {
      tensors: FramedTensor[];
    };
    let at = headerBytes;
    const read = tensors.map(({ name, datatype, shape, bytes }) => {
      const data = whole.subarray(at, at + bytes);
      at += bytes;
      return { name, datatype, shape, data };
    });
    this.#onFrame({ header: header as Header, tensors: read });
  }
}
