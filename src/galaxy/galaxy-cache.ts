import { LRUCache } from 'lru-cache';
import type { AppError } from '../errors.js';
import type { GalaxyResponse } from './galaxy-response.js';

/** An answer of Galaxy and when it came, in milliseconds. */
export interface CachedResponse {
  readonly answer: GalaxyResponse;
  readonly fetchedAt: number;
}

/** What is known of one account. */
export interface KnownAccount {
  /** The latest answer, which may lack a part. */
  readonly latest?: CachedResponse | undefined;
  /** The latest answer that lacked nothing. */
  readonly whole?: CachedResponse | undefined;
  /** Why asking last brought nothing at all. */
  readonly error?: AppError | undefined;
  /** Times in a row that asking did not bring everything. */
  readonly failures: number;
  /** Milliseconds: until then this is what anybody is told. */
  readonly until: number;
}

const MAX_ACCOUNTS = 10_000;

/**
 * What Galaxy returned for accounts, in the memory of this process: the least recently used are evicted. An entry is
 * kept while it is younger than `staleMs` or its back-off lasts; an expired one is deleted with the next `set`.
 */
export class GalaxyCache {
  readonly #accounts: LRUCache<string, KnownAccount>;
  readonly #staleMs: number;
  readonly #now: () => number;

  /** Times in milliseconds. */
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

  get(accountId: string): KnownAccount | undefined {
    return this.#accounts.get(accountId);
  }

  set(accountId: string, account: KnownAccount): KnownAccount {
    // To lru-cache a TTL of 0 means none.
    const ttl = Math.max(this.#staleMs, account.until - this.#now(), 1);
    this.#accounts.set(accountId, account, { ttl });
    this.#accounts.purgeStale();
    return account;
  }

  delete(accountId: string): void {
    this.#accounts.delete(accountId);
  }
}
