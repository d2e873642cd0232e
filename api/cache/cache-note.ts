// What an answer says about the cache: `Age` (RFC 9111) and `Cache-Status` (RFC 9211), in HTTP and gRPC alike.

/**
 * How the cache has served a call: an answer was there (`hit`), the call was scored (`miss`), it waited for an equal
 * one in flight (`collapsed`), or it did not want a cached answer (`bypass`).
 */
export type CacheNote =
  | { readonly outcome: 'hit'; readonly ageMs: number; readonly leftMs: number }
  | { readonly outcome: 'miss' | 'collapsed' | 'bypass' };

export type CacheOutcome = CacheNote['outcome'];
export const cacheOutcomes: readonly CacheOutcome[] = ['hit', 'miss', 'collapsed', 'bypass'];

const statuses = {
  miss: 'Scoreline; fwd=miss',
  collapsed: 'Scoreline; fwd=miss; collapsed',
  bypass: 'Scoreline; fwd=request',
} as const;

/** Returns the fields of the answer to a call that the cache has served. */
export function cacheFieldsOf(note: CacheNote): Record<string, string> {
  if (note.outcome !== 'hit') return { 'Cache-Status': statuses[note.outcome] };
  const [age, left] = [note.ageMs, note.leftMs].map((ms) => Math.floor(Math.max(0, ms) / 1000));
  return { Age: String(age), 'Cache-Status': `Scoreline; hit; ttl=${left}` };
}
