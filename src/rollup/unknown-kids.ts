import { LRUCache } from 'lru-cache';

/** A key rolled over right after a fetch must be accepted within five seconds; this leaves two for the fetch. */
const RETRY_AFTER_MS = 3_000;
const MAX_LENGTH = 100;
const MAX_KIDS = 10_000;

/**
 * Tracks key ids (`kid`) that the key set did not hold. A made-up one is usually seen once; one that the provider really
 * signs with is seen again, and then the keys are worth another fetch.
 *
 * Returns whether a `kid` was first seen at least three seconds ago. `now` in milliseconds.
 */
export function trackUnknownKids(now: () => number): (kid: unknown) => boolean {
  const firstSeen = new LRUCache<string, number>({ max: MAX_KIDS });
  return (kid) => {
    if (typeof kid !== 'string' || kid.length > MAX_LENGTH) return false;
    const at = firstSeen.get(kid);
    if (at === undefined) firstSeen.set(kid, now());
    return at !== undefined && now() - at >= RETRY_AFTER_MS;
  };
}
