import { setTimeout as delay } from 'node:timers/promises';
import { ProviderUnavailableError } from '../errors.js';
import { SingleFlight } from '../single-flight.js';
import type { ProviderSettings } from './settings.js';

/** How long a cached value is fresh and then usable, and how often it is refreshed. */
export type CacheLifetimes = ProviderSettings['lifetimes'];

/** With an empty cache a shorter cool-down applies: there is nothing to return meanwhile. */
const EMPTY_COOLDOWN_MS = 2_000;
/** How long a caller waits for a refresh while there is a stale value to return. */
const MAX_WAIT_MS = 1_000;
const NEVER = Number.NEGATIVE_INFINITY;
/** There is one value, so one key for its fetch. */
const KEY = 'value';

/** A value and when it was fetched, in milliseconds. */
interface CachedValue<T> {
  readonly value: T;
  readonly fetchedAt: number;
}

type RefreshReason = 'expired' | 'demand' | 'retry';

/**
 * Caches one value of the provider, with stale-while-revalidate and stale-if-error (RFC 5861), a cool-down between
 * refreshes and one fetch at a time (single-flight).
 */
export class StaleWhileRevalidate<T> {
  readonly #fetchValue: () => Promise<T>;
  readonly #lifetimes: CacheLifetimes;
  readonly #now: () => number;
  readonly #inFlight = new SingleFlight<T>();
  readonly #lastRefresh = { expired: NEVER, demand: NEVER, retry: NEVER };
  #cached: CachedValue<T> | undefined;
  /** Set when a caller waited for a refresh and got none: until a fetch succeeds the stale value is returned at once. */
  #skipWait = false;

  constructor(fetchValue: () => Promise<T>, lifetimes: CacheLifetimes, now: () => number) {
    this.#fetchValue = fetchValue;
    this.#lifetimes = lifetimes;
    this.#now = now;
  }

  /**
   * The cached value. An expired one is refreshed, and returned stale when the refresh fails or takes more than a second.
   *
   * Throws the error of the fetch, or `ProviderUnavailableError` within the cool-down, when no value is usable.
   */
  async get(): Promise<T> {
    const cached = this.#cached;
    if (cached && this.#age(cached) < this.#lifetimes.maxAgeMs) return cached.value;
    const refresh = this.#refresh('expired');
    if (!cached || !this.#isUsable(cached)) return refresh;
    refresh.catch(() => undefined); // the stale value is returned instead
    if (!this.#skipWait) await Promise.race([refresh, delay(MAX_WAIT_MS, undefined, { ref: false })]);
    this.#skipWait = this.#cached === cached;
    return (this.#cached ?? cached).value;
  }

  /**
   * Fetches again although the value may be fresh. Within the cool-down, or when the fetch fails, returns the cached
   * value while it is usable; throws as `get` otherwise.
   *
   * @param reason `retry` allows one more fetch within the cool-down of `demand`.
   */
  refresh(reason: 'demand' | 'retry'): Promise<T> {
    const coolingDown = this.#now() - this.#lastRefresh.demand < this.#lifetimes.cooldownMs;
    return this.#refresh(reason === 'retry' && coolingDown ? 'retry' : 'demand');
  }

  /**
   * Each reason has its own cool-down: a key that is rolled over right after a scheduled refresh is still fetched on
   * demand, and a flood of unknown key ids uses up the cool-down of `demand` only.
   */
  async #refresh(reason: RefreshReason): Promise<T> {
    const elapsed = this.#now() - this.#lastRefresh[reason];
    const { cooldownMs, maxAgeMs } = this.#lifetimes;
    // A value that expires sooner than the cool-down ends is refreshed when it expires.
    const full = reason === 'expired' ? Math.min(cooldownMs, maxAgeMs) : cooldownMs;
    const cooldown = this.#cached ? full : Math.min(full, EMPTY_COOLDOWN_MS);
    if (!this.#inFlight.has(KEY) && elapsed < cooldown) {
      return this.#staleIfError(new ProviderUnavailableError(cooldown - elapsed));
    }
    this.#lastRefresh[reason] = this.#now();
    return this.#inFlight.run(KEY, () => this.#fetch()).catch((error: unknown) => this.#staleIfError(error));
  }

  async #fetch(): Promise<T> {
    const value = await this.#fetchValue();
    this.#cached = { value, fetchedAt: this.#now() };
    this.#skipWait = false;
    return value;
  }

  #staleIfError(error: unknown): T {
    if (this.#cached && this.#isUsable(this.#cached)) return this.#cached.value;
    throw error;
  }

  #age({ fetchedAt }: CachedValue<T>): number {
    return this.#now() - fetchedAt;
  }

  #isUsable(cached: CachedValue<T>): boolean {
    return this.#age(cached) < this.#lifetimes.maxAgeMs + this.#lifetimes.staleMs;
  }
}
