// How long a batch takes, by its rows: a fixed time and one for each row, as a line through the batches that ran.

/** How much the last batch counts. Single batches are often slow for other reasons than their size. */
const lastShare = 0.02;

export class RunCost {
  /** Weighted means; the times are in milliseconds. */
  #rows = 0;
  #ms = 0;
  #rowsVariance = 0;
  #covariance = 0;
  #isEmpty = true;

  /** Notes that a batch of so many rows has taken so long. */
  note(rows: number, ms: number): void {
    const share = this.#isEmpty ? 1 : lastShare;
    this.#isEmpty = false;
    const moreRows = rows - this.#rows;
    const moreMs = ms - this.#ms;
    this.#rows += share * moreRows;
    this.#ms += share * moreMs;
    this.#rowsVariance = (1 - share) * (this.#rowsVariance + share * moreRows * moreRows);
    this.#covariance = (1 - share) * (this.#covariance + share * moreRows * moreMs);
  }

  /**
   * Returns how many rows take up to `factor` times as long as one. Infinity if rows seem to cost nothing, or as
   * long as all batches had the same size.
   */
  rowsWithin(factor: number): number {
    const rowMs = this.#covariance / this.#rowsVariance;
    if (!(rowMs > 0)) return Number.POSITIVE_INFINITY;
    const oneMs = this.#ms + rowMs * (1 - this.#rows);
    return Math.max(1, Math.floor(1 + ((factor - 1) * oneMs) / rowMs));
  }
}
