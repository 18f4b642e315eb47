import { setTimeout as pause } from 'node:timers/promises';
import { ProviderUnavailableError } from '../errors.js';

/** How long a fetched value serves, and how often the provider may be asked for it. All in milliseconds. */
export interface CacheLifetimes {
  /** Younger than this, a value serves without asking. */
  readonly maxAgeMs: number;
  /** Least time between two attempts, whether they succeed or fail. */
  readonly cooldownMs: number;
  /** How long an old value goes on serving while the provider gives no new one. */
  readonly staleMs: number;
}

/** With nothing to serve yet, waiting a whole cool-down helps nobody. */
const COLD_COOLDOWN_MS = 2_000;
/** How long callers wait for a new value while there is an old one that may serve. */
const PATIENCE_MS = 1_000;
const LONG_AGO = Number.NEGATIVE_INFINITY;

/** A value and when it came, in milliseconds. */
interface Dated<T> {
  readonly content: T;
  readonly fetchedAt: number;
}

/** Why an attempt is made. */
type Reason = 'age' | 'demand' | 'insistence';

/** One value fetched from the provider: cached, one fetch at a time, and kept through an outage. */
export class StaleWhileRevalidate<T> {
  #value: Dated<T> | undefined;
  readonly #lastAttempt = { age: LONG_AGO, demand: LONG_AGO, insistence: LONG_AGO };
  #fetching: Promise<T> | undefined;
  /** Whether the value grew old and nobody got a new one in time. */
  #slow = false;

  constructor(
    private readonly load: () => Promise<T>,
    private readonly times: CacheLifetimes,
    private readonly now: () => number,
  ) {}

  /**
   * The value, fetched when there is none or it is old. Throws what `load` threw, or `ProviderUnavailableError`.
   *
   * A provider that is slow keeps nobody waiting whom an old value can serve: for a second the first ones, and then
   * nobody until it has answered again.
   */
  async get(): Promise<T> {
    const value = this.#value;
    if (value && this.#age(value) < this.times.maxAgeMs) return value.content;
    const attempt = this.#attempt('age');
    if (!value || !this.#mayServe(value)) return attempt;
    attempt.catch(() => undefined); // told by what follows from it
    if (!this.#slow) await Promise.race([attempt, pause(PATIENCE_MS, undefined, { ref: false })]);
    this.#slow = this.#value === value;
    return (this.#value ?? value).content;
  }

  /**
   * Fetches anew if the cool-down allows it; otherwise, or when that fails, the known value if it may still serve.
   *
   * @param insistent whether one more attempt may be made in the cool-down of what others demanded.
   */
  renew(insistent: boolean): Promise<T> {
    const early = this.now() - this.#lastAttempt.demand < this.times.cooldownMs;
    return this.#attempt(insistent && early ? 'insistence' : 'demand');
  }

  /**
   * Attempts for each reason have a cool-down of their own: a new key that shows up right after a regular fetch need
   * not wait, and a flood of made-up ones uses up the demand and nothing else.
   */
  async #attempt(reason: Reason): Promise<T> {
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
    this.#slow = false;
    return content;
  }

  #known(error: unknown): T {
    if (this.#value && this.#mayServe(this.#value)) return this.#value.content;
    throw error;
  }

  #age({ fetchedAt }: Dated<T>): number {
    return this.now() - fetchedAt;
  }

  #mayServe(value: Dated<T>): boolean {
    return this.#age(value) < this.times.maxAgeMs + this.times.staleMs;
  }
}
