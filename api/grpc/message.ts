// The message of a request. grpc-js keeps what it hands over until the request is answered. So it gets this object, which
// has the bytes only until they are read.

export class Message {
  #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** How many bytes are left. */
  get length(): number {
    return this.#bytes.length;
  }

  /** Takes all of the bytes out. */
  take(): Buffer {
    const bytes = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    return bytes;
  }
}
