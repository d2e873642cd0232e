// The response cache: a request that asks what another has asked before gets the same answer, without a worker.
//
// A model's answer depends on nothing but the model, the input and what is wanted of the output. All of that is in
// the *digest* that names an entry: model, version, files, labels and what the manifest says of inputs and outputs, by
// the queue; how the API treats them, by this release; the inputs as sent, behind JSON, forms and base64. So a hit
// needs no input to be prepared, which is most of what a picture costs here. An entry is the answer to a
// request as a whole. Only answers are kept, never errors.
//
// Equal requests that are in flight at one API instance are scored once: the first one is the *flight*, and the
// others join it.

import { nowMs } from '../../shared/clock.js';
import type { Model } from '../../shared/registry/models.js';
import { packageVersion } from '../../shared/version.js';
import { rowsOfItem } from '../../shared/wire/item-id.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import type { Call } from '../call/call.js';
import { makeFlights } from '../repeat/flights.js';
import { type Asked, fingerprintOf, hash } from '../repeat/identity.js';
import type { CacheNote, CacheOutcome } from './cache-note.js';
import type { CacheEntries, CacheEntry, CacheLimits } from './entries.js';

type Replies = readonly ScoredReply[];
type Score = () => Promise<Replies>;

/** The entry of a request, whether it is there or not. */
export interface CachePlace {
  readonly limits: CacheLimits;
  readonly digest: string;
}

interface Outcome {
  readonly replies: Replies;
  /** Undefined if the replies were scored now. */
  readonly entry: CacheEntry | undefined;
}

export class ResponseCache {
  readonly #entries: CacheEntries;
  readonly #onServed: (model: Model, outcome: CacheOutcome) => void;
  readonly #flights = makeFlights<Outcome>({ waitersMax: Number.POSITIVE_INFINITY });

  /** @param options.onServed called for each call that the cache has served */
  constructor(options: {
    entries: CacheEntries;
    onServed?: ((model: Model, outcome: CacheOutcome) => void) | undefined;
  }) {
    this.#entries = options.entries;
    this.#onServed = options.onServed ?? (() => {});
  }

  /** Returns where the answer to a call is kept; undefined if its model has no cache. */
  placeOf({ caller, model }: Call, asked: Omit<Asked, 'queue'>): CachePlace | undefined {
    const { cache: limits } = model.manifest;
    if (!limits) return undefined;
    const scope = limits.scope === 'caller' ? `caller ${caller.id}` : 'all';
    const fingerprint = fingerprintOf({ queue: model.queue, ...asked });
    return { limits, digest: hash([scope, packageVersion(), fingerprint]) };
  }

  /**
   * Resolves with the replies to a call: kept ones, those of an equal call in flight, or those that `score` gets.
   * @throws ScorelineError of `score`, or the reason of the call's ending
   */
  async serve(call: Call, place: CachePlace, score: Score): Promise<Replies> {
    const { model, freshness } = call;
    if (freshness) {
      const entry = await this.recall(call, place);
      return entry ?? this.#scoreAndKeep(call, place, score);
    }
    let isFirst = false;
    const { replies, entry } = await this.#flights.join(
      // An interactive request does not join the flight of an equal bulk request, which may wait longer.
      `${model.queue} ${call.priority} ${place.digest}`,
      call,
      async () => {
        isFirst = true;
        const found = await this.#entries.read(model, place.limits, place.digest);
        if (found) return { replies: found.replies, entry: found };
        return { replies: await this.#scoreAndKeep(call, place, score), entry: undefined };
      },
    );
    if (entry) return this.#serveEntry(call, place, entry);
    this.#note(call, { outcome: isFirst ? 'miss' : 'collapsed' });
    return isFirst ? replies : renamed(call, replies);
  }

  /** Resolves with the kept replies to a call, if there are any that it takes. */
  async recall(call: Call, place: CachePlace): Promise<Replies | undefined> {
    const { model, freshness, ending } = call;
    const ageMsMax = freshness?.ageMsMax ?? Number.POSITIVE_INFINITY;
    const entry =
      ageMsMax > 0
        ? await ending.orEnd(this.#entries.read(model, place.limits, place.digest))
        : undefined;
    const isFresh = entry !== undefined && nowMs() - entry.scoredAt <= ageMsMax;
    if (isFresh) return this.#serveEntry(call, place, entry);
    this.#note(call, { outcome: freshness ? 'bypass' : 'miss' });
    return undefined;
  }

  /** Keeps the replies to a call, unless it does not want that. */
  keep({ model, freshness }: Call, { limits, digest }: CachePlace, replies: Replies): void {
    if (freshness?.isKept !== false) this.#entries.write(model, limits, digest, replies);
  }

  async #scoreAndKeep(call: Call, place: CachePlace, score: Score): Promise<Replies> {
    const replies = await score();
    this.keep(call, place, replies);
    return replies;
  }

  #serveEntry(call: Call, { limits }: CachePlace, { replies, scoredAt }: CacheEntry): Replies {
    const ageMs = nowMs() - scoredAt;
    this.#note(call, { outcome: 'hit', ageMs, leftMs: limits.keepMs - ageMs });
    return renamed(call, replies);
  }

  #note(call: Call, note: CacheNote): void {
    call.cacheNote = note;
    this.#onServed(call.model, note.outcome);
  }
}

/** Gives replies of another call the ids of the items that this one would have had. */
function renamed(call: Call, replies: Replies): Replies {
  return replies.map((reply, index) => ({
    ...reply,
    id: call.itemId(index, rowsOfItem(reply.id)),
  }));
}
