// What a request says about cached answers, in the terms of HTTP (RFC 9111): `Cache-Control` with `no-cache`,
// `no-store` or `max-age`. Other directives are ignored.

/** A request without any takes every cached answer. */
export interface Freshness {
  /** The oldest answer that it takes; 0 if it is to be scored anew. */
  readonly ageMsMax: number;
  /** Whether its answer may be kept for others. */
  readonly isKept: boolean;
}

/** Reads the header. Returns undefined if it says nothing about cached answers. */
export function readFreshness(cacheControl: string | undefined): Freshness | undefined {
  if (cacheControl === undefined) return undefined;
  const given = new Map(
    cacheControl.split(',').map((text) => {
      const [name = '', value = ''] = text.trim().toLowerCase().split('=', 2);
      return [name.trim(), value.trim()] as const;
    }),
  );
  if (given.has('no-store')) return { ageMsMax: 0, isKept: false };
  if (given.has('no-cache')) return { ageMsMax: 0, isKept: true };
  const maxAge = given.get('max-age');
  if (maxAge === undefined) return undefined;
  // What is no number of seconds means the strictest one (RFC 9111, 4.2.1).
  const seconds = /^"?(\d{1,9})"?$/.exec(maxAge)?.[1] ?? 0;
  return { ageMsMax: Number(seconds) * 1000, isKept: true };
}
