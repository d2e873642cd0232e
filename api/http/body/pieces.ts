// The bytes of a body, in the pieces in which they arrive.
//
// A client may send each byte in a chunk of its own, and a Buffer takes some hundred bytes beside its contents. So many
// small pieces are put together.

/** After how many pieces to look at their size. */
const piecesMax = 256;
/** Smaller pieces than this, on average, are put together. */
const smallBytes = 1024;
/** What has been put together is left alone from this size on. */
const largeBytes = 64 * 1024;

export class Pieces {
  readonly #pieces: Buffer[] = [];
  /** Pieces from here on are looked at together. */
  #from = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(piece: Buffer): void {
    this.#bytes += piece.length;
    this.#pieces.push(piece);
    if (this.#pieces.length - this.#from >= piecesMax) this.#join();
  }

  #join(): void {
    const bytes = this.#pieces.slice(this.#from).reduce((sum, { length }) => sum + length, 0);
    if (bytes < piecesMax * smallBytes) {
      this.#pieces.push(Buffer.concat(this.#pieces.splice(this.#from), bytes));
      if (bytes < largeBytes) return;
    }
    this.#from = this.#pieces.length;
  }

  /** Returns all bytes, and keeps none. */
  take(): Buffer {
    const pieces = this.#pieces.splice(0);
    const whole = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, this.#bytes);
    this.clear();
    return whole;
  }

  clear(): void {
    this.#pieces.length = 0;
    this.#from = 0;
    this.#bytes = 0;
  }
}
