import { ProviderUnavailableError } from '../errors.js';

/** How long a fetched value serves, and how often the provider may be asked for it. All in milliseconds. */
export interface CacheTimes {
  /** Younger than this, a value serves without asking. */
  readonly maxAgeMs: number;
  /** Least time between two attempts, whether they succeed or fail. */
  readonly cooldownMs: number;
  /** How long an old value goes on serving while the provider gives no new one. */
  readonly staleMs: number;
}

/** With nothing to serve yet, waiting a whole cool-down helps nobody. */
const COLD_COOLDOWN_MS = 2_000;

/** One value fetched from the provider: cached, one fetch at a time, and kept through an outage. */
export class CachedSource<T> {
  #value: { readonly content: T; readonly fetchedAt: number } | undefined;
  readonly #lastAttempt = { age: Number.NEGATIVE_INFINITY, demand: Number.NEGATIVE_INFINITY };
  #fetching: Promise<T> | undefined;

  constructor(
    private readonly load: () => Promise<T>,
    private readonly times: CacheTimes,
    private readonly now: () => number,
  ) {}

  /** The value, fetched when there is none or it is old. Throws what `load` threw, or `ProviderUnavailableError`. */
  async get(): Promise<T> {
    const age = this.now() - (this.#value?.fetchedAt ?? Number.NEGATIVE_INFINITY);
    return this.#value && age < this.times.maxAgeMs ? this.#value.content : this.#attempt('age');
  }

  /** Fetches anew if the cool-down allows it; otherwise, or when that fails, the known value if it may still serve. */
  renew(): Promise<T> {
    return this.#attempt('demand');
  }

  /**
   * Attempts because of age and attempts on demand each have a cool-down of their own: a new key that shows up right
   * after a regular fetch need not wait, and a flood of made-up ones uses up the demand and nothing else.
   */
  async #attempt(reason: 'age' | 'demand'): Promise<T> {
    const sinceAttempt = this.now() - this.#lastAttempt[reason];
    const { cooldownMs, maxAgeMs } = this.times;
    // What is asked for by age need not wait longer than the age itself.
    const full = reason === 'age' ? Math.min(cooldownMs, maxAgeMs) : cooldownMs;
    const cooldown = this.#value ? full : Math.min(full, COLD_COOLDOWN_MS);
    if (this.#fetching === undefined && sinceAttempt < cooldown) {
      return this.#known(new ProviderUnavailableError(cooldown - sinceAttempt));
    }
    this.#lastAttempt[reason] = this.now();
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
    return this.#fetching.catch((error: unknown) => this.#known(error));
  }

  async #fetch(): Promise<T> {
    const content = await this.load();
    this.#value = { content, fetchedAt: this.now() };
    return content;
  }

  #known(error: unknown): T {
    const limit = this.times.maxAgeMs + this.times.staleMs;
    if (this.#value && this.now() - this.#value.fetchedAt < limit) return this.#value.content;
    throw error;
  }
}
