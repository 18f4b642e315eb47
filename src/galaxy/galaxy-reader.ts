import {
  type AppError,
  ProviderUnavailableError,
  ProviderMisconfiguredError,
  RateLimitedError,
} from '../errors.js';
import type { RequestGalaxy } from './galaxy-client.js';
import { failuresIn, type GalaxyResponse } from './galaxy-response.js';
import { backOffMs } from '../back-off.js';
import { type CachedResponse, GalaxyCache, type KnownAccount } from './galaxy-cache.js';
import { GalaxyBackOff, withRetryAfter } from './galaxy-back-off.js';
import { SingleFlight } from '../single-flight.js';

/** An answer of Galaxy, and how old it is. */
export interface GalaxyReading {
  readonly answer: GalaxyResponse;
  readonly fetchedAt: Date;
  readonly ageSeconds: number;
  /** Whether it is older than it should be, because Galaxy could not be asked. */
  readonly stale: boolean;
  /** Milliseconds until a part that is missing can be had, at the earliest. */
  readonly retryAfterMs: number;
}

/** How a request for a reading ended, for logs and numbers. */
export type GalaxyOutcome = 'asked' | 'failed' | 'over_budget';

/** What reading Galaxy depends on. Times in milliseconds. */
export interface GalaxyReaderDeps {
  readonly ask: RequestGalaxy;
  /** A fresh access token of an account. */
  readonly accessToken: (accountId: string) => Promise<string>;
  /**
   * Takes one request out of the budget: 0, or the time until there is room.
   *
   * @param canWait there is an earlier answer to give, so that half of the budget is left to those without one.
   */
  readonly takeRequest: (canWait: boolean) => Promise<number>;
  readonly now: () => number;
  readonly random: () => number;
  /** Younger than this, an answer serves without asking. */
  readonly cacheMs: number;
  /** Younger than this, an answer serves while Galaxy cannot be asked. */
  readonly staleMs: number;
  /** The first pause after a failure; it doubles. */
  readonly backOffBaseMs: number;
  /** `error` is why nothing, or not everything, was answered. */
  readonly onOutcome: (outcome: GalaxyOutcome, accountId: string, error?: unknown) => void;
}

/**
 * Reads Galaxy within what it allows an application: one request for an account whoever asks at the same time, a
 * short memory of its answers, a budget that all processes share, and a pause after a failure: of everybody when it
 * would meet everybody, of one account when it is about that one.
 */
export class GalaxyReader {
  readonly #inFlight = new SingleFlight<KnownAccount>();
  readonly #memory: GalaxyCache;
  readonly #pause: GalaxyBackOff;

  constructor(private readonly deps: GalaxyReaderDeps) {
    this.#memory = new GalaxyCache(deps.staleMs, deps.now);
    this.#pause = new GalaxyBackOff(deps.now);
  }

  /**
   * What Galaxy says of an account. While it cannot be asked, an earlier answer, marked as stale.
   *
   * Throws `RateLimitedError` when the budget is spent, `ProviderUnavailableError` or `ProviderMisconfiguredError`, and
   * what having an access token throws.
   */
  async read(accountId: string): Promise<GalaxyReading> {
    try {
      const known = this.#memory.get(accountId);
      if (known && this.deps.now() < known.until) return this.#tell(known);
      return this.#tell(await this.#inFlight.run(accountId, () => this.#ask(accountId)));
    } catch (error) {
      const passing = error instanceof RateLimitedError || error instanceof ProviderUnavailableError;
      const old = passing && this.#earlier(this.#memory.get(accountId));
      if (!old) throw error;
      return this.#reading(old, true, error.retryAfterMs);
    }
  }

  /** Drops what is remembered of an account. */
  forget(accountId: string): void {
    this.#memory.delete(accountId);
  }

  async #ask(accountId: string): Promise<KnownAccount> {
    const { ask, accessToken, takeRequest, onOutcome } = this.deps;
    this.#pause.check();
    const token = await accessToken(accountId);
    const known = this.#memory.get(accountId) ?? { failures: 0, until: 0 };
    const canWait = this.#earlier(known) !== undefined;
    const waitMs = await takeRequest(canWait);
    if (waitMs > 0) {
      onOutcome('over_budget', accountId);
      throw this.#putOff(accountId, known, waitMs, canWait);
    }
    try {
      const answer = await ask(token);
      this.#pause.succeed();
      return this.#remember(accountId, known, answer);
    } catch (error) {
      onOutcome('failed', accountId, error);
      throw this.#pauseEverybody(error);
    }
  }

  /** Who can wait is put off alone: there may be room for others. */
  #putOff(accountId: string, known: KnownAccount, waitMs: number, canWait: boolean): AppError {
    const error = new RateLimitedError(waitMs);
    if (!canWait) return this.#pause.begin(waitMs, error);
    const { now, backOffBaseMs } = this.deps;
    this.#memory.set(accountId, { ...known, error, until: now() + backOffBaseMs });
    return error;
  }

  #remember(accountId: string, before: KnownAccount, answer: GalaxyResponse): KnownAccount {
    const { now, random, cacheMs, backOffBaseMs, onOutcome } = this.deps;
    const lacking = failuresIn(answer);
    const nothing = lacking.length === Object.keys(answer).length;
    onOutcome(nothing ? 'failed' : 'asked', accountId, lacking[0]);
    const failures = lacking.length > 0 ? before.failures + 1 : 0;
    const latest = nothing ? this.#servable(before.latest) : { answer, fetchedAt: now() };
    return this.#memory.set(accountId, {
      latest,
      whole: failures > 0 ? this.#servable(before.whole) : latest,
      error: nothing ? lacking[0] : undefined,
      failures,
      until: now() + (failures > 0 ? backOffMs(failures, backOffBaseMs, random()) : cacheMs),
    });
  }

  #pauseEverybody(error: unknown): unknown {
    const { random, backOffBaseMs } = this.deps;
    const unavailable = error instanceof ProviderUnavailableError;
    if (!unavailable && !(error instanceof ProviderMisconfiguredError)) return error;
    const retryAfterMs = unavailable ? error.retryAfterMs : 0;
    return this.#pause.fail(error, (failures) => backOffMs(failures, backOffBaseMs, random(), retryAfterMs));
  }

  #tell({ error, until, latest }: KnownAccount): GalaxyReading {
    const remainingMs = until - this.deps.now();
    if (error) throw withRetryAfter(error, remainingMs);
    return this.#reading(latest as CachedResponse, false, remainingMs);
  }

  /** An answer to give while Galaxy cannot be asked; one that lacks nothing is better than a later one. */
  #earlier(known: KnownAccount | undefined): CachedResponse | undefined {
    return this.#servable(known?.whole) ?? this.#servable(known?.latest);
  }

  #servable(dated: CachedResponse | undefined): CachedResponse | undefined {
    return dated && this.deps.now() - dated.fetchedAt < this.deps.staleMs ? dated : undefined;
  }

  #reading({ answer, fetchedAt }: CachedResponse, stale: boolean, retryAfterMs: number): GalaxyReading {
    const ageSeconds = Math.max(0, Math.floor((this.deps.now() - fetchedAt) / 1_000));
    return { answer, fetchedAt: new Date(fetchedAt), ageSeconds, stale, retryAfterMs };
  }
}
