import { backOffMs } from '../back-off.js';
import {
  type AppError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  RateLimitedError,
} from '../errors.js';

/** What the back-off depends on. Times in milliseconds. */
export interface GalaxyBackOffDeps {
  /** Never goes backwards: for back-offs. */
  readonly monotonicNow: () => number;
  /** Between 0 and 1. */
  readonly random: () => number;
  /** The first back-off after a failure; it doubles. */
  readonly backOffBaseMs: number;
}

/**
 * The back-off of all accounts, after a spent budget or a failure that would be the same for each of them. While it
 * lasts no request is sent, and every caller gets its error.
 */
export class GalaxyBackOff {
  readonly #deps: GalaxyBackOffDeps;
  #current: { readonly until: number; readonly error: AppError } | undefined;
  /** Consecutive failures. */
  #failures = 0;

  constructor(deps: GalaxyBackOffDeps) {
    this.#deps = deps;
  }

  /** Throws the error of the current back-off, with the remaining time. */
  check(): void {
    if (this.#current && this.#isActive()) {
      throw withRetryAfter(this.#current.error, this.#current.until - this.#deps.monotonicNow());
    }
  }

  /** Backs off for `ms`, or for what remains of a longer back-off. Returns the error to throw. */
  start(ms: number, error: AppError): AppError {
    const now = this.#deps.monotonicNow();
    const until = now + ms;
    if (!this.#current || this.#current.until < until) this.#current = { until, error };
    return withRetryAfter(this.#current.error, this.#current.until - now);
  }

  /**
   * Backs off exponentially when the error would be the same for every account. Requests that were in flight when a
   * back-off began count as the same failure. Returns the error to throw.
   */
  recordFailure(error: unknown): unknown {
    const unavailable = error instanceof ProviderUnavailableError;
    if (!unavailable && !(error instanceof ProviderMisconfiguredError)) return error;
    if (!this.#isActive() || this.#failures === 0) this.#failures += 1;
    const { random, backOffBaseMs } = this.#deps;
    const retryAfterMs = unavailable ? error.retryAfterMs : 0;
    return this.start(backOffMs(this.#failures, backOffBaseMs, random(), retryAfterMs), error);
  }

  /** Resets the failures, unless a back-off has begun since the request was sent: that one goes on. */
  recordSuccess(): void {
    if (!this.#isActive()) this.#failures = 0;
  }

  #isActive(): boolean {
    return this.#current !== undefined && this.#current.until > this.#deps.monotonicNow();
  }
}

/** The same error with another `retryAfterMs`, when it has one. */
export function withRetryAfter(error: AppError, ms: number): AppError {
  if (error instanceof RateLimitedError) return new RateLimitedError(ms);
  if (error instanceof ProviderUnavailableError) return new ProviderUnavailableError(ms, { cause: error });
  return error;
}
