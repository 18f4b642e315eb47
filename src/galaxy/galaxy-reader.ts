import { backOffMs } from '../back-off.js';
import { AppError, ProviderUnavailableError, RateLimitedError } from '../errors.js';
import { SingleFlight } from '../single-flight.js';
import { GalaxyBackOff, type GalaxyBackOffDeps, withRetryAfter } from './galaxy-back-off.js';
import { type CachedAccount, type CachedResponse, GalaxyCache } from './galaxy-cache.js';
import type { RequestGalaxy } from './galaxy-client.js';
import { errorsIn, type GalaxyResponse } from './galaxy-response.js';
import type { GalaxySettings } from './settings.js';

/** A response of Galaxy and its age. */
export interface GalaxyReading {
  readonly response: GalaxyResponse;
  readonly fetchedAt: Date;
  readonly ageSeconds: number;
  /** Whether it is served past its max age because Galaxy cannot be called (stale-if-error, RFC 5861). */
  readonly stale: boolean;
  /** Milliseconds until a failed field is requested again, at the earliest. */
  readonly retryAfterMs: number;
}

/** The outcome of a request to Galaxy, for logs and metrics. */
export type GalaxyOutcome = 'responded' | 'failed' | 'over_budget';

/** What reading Galaxy depends on. Times in milliseconds. */
export interface GalaxyReaderDeps extends GalaxyBackOffDeps, Pick<GalaxySettings, 'cacheMs' | 'staleMs'> {
  readonly request: RequestGalaxy;
  /** The clock of the machine, for `fetchedAt` alone. */
  readonly now: () => number;
  /** A fresh access token of an account. */
  readonly accessToken: (accountId: string) => Promise<string>;
  /**
   * Acquires one request of the budget. Returns 0, or the time until the next one is free.
   *
   * @param lowPriority there is a stale response to serve: half of the budget is left to accounts without one.
   */
  readonly acquireSlot: (lowPriority: boolean) => Promise<number>;
  /** Receives the error of a request that failed, or of its first field that did. */
  readonly onOutcome: (outcome: GalaxyOutcome, accountId: string, error?: unknown) => void;
}

/**
 * Reads Galaxy within its limit for an application: single-flight per account, a short cache, a budget shared by all
 * processes, and exponential back-off after a failure: for all accounts when it would be the same for each of them,
 * otherwise for the one account.
 */
export class GalaxyReader {
  readonly #deps: GalaxyReaderDeps;
  readonly #inFlight = new SingleFlight<CachedAccount>();
  readonly #cache: GalaxyCache;
  readonly #backOff: GalaxyBackOff;

  constructor(deps: GalaxyReaderDeps) {
    this.#deps = deps;
    this.#cache = new GalaxyCache(deps.staleMs, deps.monotonicNow);
    this.#backOff = new GalaxyBackOff(deps);
  }

  /**
   * The response for an account. While Galaxy cannot be called, an earlier one, marked as stale.
   *
   * Throws `RateLimitedError` when the budget is spent, `ProviderUnavailableError` or `ProviderMisconfiguredError`, and
   * the errors of `accessToken`.
   */
  async read(accountId: string): Promise<GalaxyReading> {
    try {
      const cached = this.#cache.get(accountId);
      if (cached && this.#deps.monotonicNow() < cached.nextRequestAt) return this.#toReading(cached);
      return this.#toReading(await this.#inFlight.run(accountId, () => this.#fetch(accountId)));
    } catch (error) {
      const temporary = error instanceof RateLimitedError || error instanceof ProviderUnavailableError;
      const stale = temporary && this.#cache.staleResponse(this.#cache.get(accountId));
      if (!stale) throw error;
      return this.#readingOf(stale, true, error.retryAfterMs);
    }
  }

  /** Deletes what is cached of an account. */
  invalidate(accountId: string): void {
    this.#cache.delete(accountId);
  }

  async #fetch(accountId: string): Promise<CachedAccount> {
    const { request, accessToken, acquireSlot, onOutcome } = this.#deps;
    this.#backOff.check();
    const token = await accessToken(accountId);
    const cached = this.#cache.get(accountId);
    const servable = this.#cache.staleResponse(cached) && cached;
    const waitMs = await acquireSlot(servable !== undefined);
    if (waitMs > 0) {
      onOutcome('over_budget', accountId);
      throw this.#overBudget(accountId, waitMs, servable);
    }
    try {
      const response = await request(token);
      this.#backOff.recordSuccess();
      return this.#store(accountId, response, cached);
    } catch (error) {
      onOutcome('failed', accountId, error);
      throw this.#backOff.recordFailure(error);
    }
  }

  /** An account with a stale response to serve backs off alone: there may be budget left for others. */
  #overBudget(accountId: string, waitMs: number, servable: CachedAccount | undefined): AppError {
    const error = new RateLimitedError(waitMs);
    if (!servable) return this.#backOff.start(waitMs, error);
    const nextRequestAt = this.#deps.monotonicNow() + this.#deps.backOffBaseMs;
    this.#cache.set(accountId, { ...servable, result: error, nextRequestAt });
    return error;
  }

  #store(accountId: string, response: GalaxyResponse, before: CachedAccount | undefined): CachedAccount {
    const { now, monotonicNow, random, cacheMs, backOffBaseMs, onOutcome } = this.#deps;
    const errors = errorsIn(response);
    const [error] = errors;
    const totalFailure = errors.length === Object.keys(response).length ? error : undefined;
    onOutcome(totalFailure ? 'failed' : 'responded', accountId, error);
    const failures = error ? (before?.failures ?? 0) + 1 : 0;
    const current = { response, fetchedAt: new Date(now()), arrivedAt: monotonicNow() };
    const latest = totalFailure ? this.#cache.ifUsable(before?.latest) : current;
    return this.#cache.set(accountId, {
      result: totalFailure ?? current,
      latest,
      complete: error ? this.#cache.ifUsable(before?.complete) : latest,
      failures,
      nextRequestAt: current.arrivedAt + (error ? backOffMs(failures, backOffBaseMs, random()) : cacheMs),
    });
  }

  #toReading({ result, nextRequestAt }: CachedAccount): GalaxyReading {
    const remainingMs = nextRequestAt - this.#deps.monotonicNow();
    if (result instanceof AppError) throw withRetryAfter(result, remainingMs);
    return this.#readingOf(result, false, remainingMs);
  }

  #readingOf(cached: CachedResponse, stale: boolean, retryAfterMs: number): GalaxyReading {
    const { response, fetchedAt, arrivedAt } = cached;
    const ageSeconds = Math.floor((this.#deps.monotonicNow() - arrivedAt) / 1_000);
    return { response, fetchedAt, ageSeconds, stale, retryAfterMs };
  }
}
