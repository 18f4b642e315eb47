import { LRUCache } from 'lru-cache';
import type { AppError } from '../errors.js';
import type { GalaxyResponse } from './galaxy-response.js';

/** A response of Galaxy and when it arrived. */
export interface CachedResponse {
  readonly response: GalaxyResponse;
  /** By the clock of the machine, for users to see. */
  readonly fetchedAt: Date;
  /** Milliseconds by the clock of the cache: its age counts from here. */
  readonly arrivedAt: number;
}

/** What is cached of one account. */
export interface CachedAccount {
  /** The result of the last request: a response, in which fields may have failed, or why there was none. */
  readonly result: CachedResponse | AppError;
  /** The latest response, in which fields may have failed. */
  readonly latest?: CachedResponse | undefined;
  /** The latest response in which no field failed. */
  readonly complete?: CachedResponse | undefined;
  /** Consecutive requests in which a field failed. */
  readonly failures: number;
  /** Milliseconds by the clock of the cache: until then `result` is returned without a request. */
  readonly nextRequestAt: number;
}

const MAX_ACCOUNTS = 10_000;

/**
 * Caches the responses of Galaxy by account, in the memory of this process; the least recently used is evicted. An entry
 * is kept while it is younger than `staleMs` or its back-off lasts; an expired one is deleted with the next `set`.
 */
export class GalaxyCache {
  readonly #accounts: LRUCache<string, CachedAccount>;
  readonly #staleMs: number;
  readonly #now: () => number;

  /** Times in milliseconds. @param now never goes backwards. */
  constructor(staleMs: number, now: () => number) {
    this.#staleMs = staleMs;
    this.#now = now;
    this.#accounts = new LRUCache({
      max: MAX_ACCOUNTS,
      perf: { now },
      // The clock is read each time, not once a millisecond of the machine's.
      ttlResolution: 0,
      // An expired entry still counts the failures until it is purged.
      allowStale: true,
      noDeleteOnStaleGet: true,
    });
  }

  get(accountId: string): CachedAccount | undefined {
    return this.#accounts.get(accountId);
  }

  set(accountId: string, account: CachedAccount): CachedAccount {
    // To lru-cache a TTL of 0 means none.
    const ttl = Math.max(this.#staleMs, account.nextRequestAt - this.#now(), 1);
    this.#accounts.set(accountId, account, { ttl });
    this.#accounts.purgeStale();
    return account;
  }

  delete(accountId: string): void {
    this.#accounts.delete(accountId);
  }

  /** The response to serve while Galaxy cannot be called; a complete one is preferred to a later one. */
  staleResponse(account: CachedAccount | undefined): CachedResponse | undefined {
    return this.ifUsable(account?.complete) ?? this.ifUsable(account?.latest);
  }

  /** The response unless it is older than the stale window. */
  ifUsable(cached: CachedResponse | undefined): CachedResponse | undefined {
    return cached && this.#now() - cached.arrivedAt < this.#staleMs ? cached : undefined;
  }
}
