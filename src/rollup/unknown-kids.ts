import { LRUCache } from 'lru-cache';

/** A key rolled over right after a fetch must be accepted within five seconds; this leaves two for the fetch. */
const RETRY_AFTER_MS = 3_000;
const MAX_LENGTH = 100;
const MAX_KIDS = 10_000;

/**
 * Key ids (`kid`) that the key set did not hold. A made-up one is usually seen once; one that the provider really signs
 * with is seen again, and then the keys are worth another fetch.
 */
export class UnknownKids {
  readonly #firstSeen = new LRUCache<string, number>({ max: MAX_KIDS });
  readonly #now: () => number;

  /** @param now milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Records a `kid`. True when it was first seen at least three seconds ago. */
  isRetry(kid: unknown): boolean {
    if (typeof kid !== 'string' || kid.length > MAX_LENGTH) return false;
    const firstSeen = this.#firstSeen.get(kid);
    if (firstSeen !== undefined) return this.#now() - firstSeen >= RETRY_AFTER_MS;
    this.#firstSeen.set(kid, this.#now());
    return false;
  }
}
