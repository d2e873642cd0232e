// What a conformance run has found.

import type { Form } from './infer.js';

/** Why ONNX Runtime does not run a case, by the words of its error. */
const kinds: readonly (readonly [kind: string, words: RegExp])[] = [
  ['ended its process or did not end', /^it ended/],
  ['the opset is newer than it knows', /guarantees support|under development/],
  ['unknown operator', /not a registered function/],
  ['no implementation for the type', /could not find an implementation|NOT_IMPLEMENTED/i],
  ['an input that cannot be fed', / is (a|of type) \w+$/],
  ['invalid for it', /invalid model|type error|shape inference/i],
  ['its run fails', /while running|unexpected input|Invalid (rank|dimensions)/i],
];

export class Tally {
  /** How many cases bare ONNX Runtime runs. */
  bare = 0;
  readonly same: Record<Form, number> = { json: 0, binary: 0 };
  readonly faults: { readonly name: string; readonly what: string }[] = [];
  /** How many cases, by reason. */
  readonly #refused = new Map<string, number>();
  readonly #notRun = new Map<string, number>();

  noteFault(name: string, what: string): void {
    this.faults.push({ name, what });
  }

  /** Notes a case that bare ONNX Runtime runs and that the check refuses. */
  noteRefused(message: string): void {
    // Without the names of the case, so cases with one reason are one line.
    note(this.#refused, message.replace(/^[^:]+: /, '').replace(/; got .*$/s, ''));
  }

  noteNotRun(reason: string): void {
    note(this.#notRun, kinds.find(([, words]) => words.test(reason))?.[0] ?? 'another reason');
  }

  get isPassed(): boolean {
    return this.faults.length === 0 && this.bare > 0;
  }

  get figures() {
    return {
      bare: this.bare,
      sameByJson: this.same.json,
      sameByBinary: this.same.binary,
      refusedAtCheck: sum(this.#refused),
      notRunByOrt: sum(this.#notRun),
      faults: this.faults.length,
    };
  }

  summary(): string {
    const { bare, sameByJson, sameByBinary, refusedAtCheck, notRunByOrt, faults } = this.figures;
    return `${bare} run by bare ONNX Runtime, ${sameByJson} the same by JSON, ${sameByBinary} the same by binary tensors, ${refusedAtCheck} refused at check, ${notRunByOrt} not run by ONNX Runtime, ${faults} faults`;
  }

  /** Returns a line for each fault and each reason. */
  details(): string[] {
    const list = (what: string, reasons: ReadonlyMap<string, number>) =>
      [...reasons].map(([reason, count]) => `${what}: ${count} × ${reason}`);
    return [
      ...this.faults.map(({ name, what }) => `fault: ${name}: ${what}`),
      ...list('refused at check', this.#refused),
      ...list('not run by ONNX Runtime', this.#notRun),
    ];
  }
}

function note(reasons: Map<string, number>, reason: string): void {
  reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
}

function sum(reasons: ReadonlyMap<string, number>): number {
  return [...reasons.values()].reduce((total, count) => total + count, 0);
}
