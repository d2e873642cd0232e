// A request in parts that mutations can change, and the bytes that go over the wire in the end.

export type Field = readonly [name: string, value: string];

export interface Draft {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Without Content-Length. Values are Latin-1: one character is one byte. */
  readonly fields: readonly Field[];
  readonly body: Buffer;
}

/** A request as it is sent, on a connection of its own if the server may close or misread it. */
export interface Shot {
  /** What was mutated. */
  readonly kind: string;
  readonly bytes: Buffer;
  /**
   * Whether HTTP itself is intact, so that exactly one answer has to come. Otherwise the server may answer
   * each request that it finds in the bytes, or close the connection.
   */
  readonly isWhole: boolean;
  /** Hang up after this time instead of waiting for what the server does. */
  readonly leaveAfterMs?: number | undefined;
}

/** Returns the bytes of a draft, with the length of its body. */
export function encode({ method, target, fields, body }: Draft): Buffer {
  const needsLength = body.length > 0 || !['GET', 'HEAD'].includes(method);
  const all: readonly Field[] = needsLength
    ? [...fields, ['Content-Length', String(body.length)]]
    : fields;
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

/** Returns the value of a field; undefined if there is none. */
export function fieldOf({ fields }: Draft, wanted: string): string | undefined {
  return fields.find(([name]) => name.toLowerCase() === wanted.toLowerCase())?.[1];
}

/** Replaces a field, or adds it. */
export function withField(draft: Draft, name: string, value: string): Draft {
  const { fields } = withoutField(draft, name);
  return { ...draft, fields: [...fields, [name, value]] };
}

export function withoutField(draft: Draft, unwanted: string): Draft {
  const isOther = ([name]: Field) => name.toLowerCase() !== unwanted.toLowerCase();
  return { ...draft, fields: draft.fields.filter(isOther) };
}

/** Writes text in UTF-8 where the bytes are given as Latin-1. */
export function asBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}
