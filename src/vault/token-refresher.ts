import { pollMs, sleepUntil } from '../back-off.js';
import {
  AccountNotFoundError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SealBrokenError,
} from '../errors.js';
import { SingleFlight } from '../single-flight.js';
import { type FreshAccessToken, isOf } from '../token-set.js';
import { endBrokenSeal } from './end-grant.js';
import { type Outcome, type ReadRow, RefreshAttempt, type RefreshDeps } from './refresh-attempt.js';
import { decideRefresh, remainingMs } from './refresh-decision.js';
import type { SealedRow } from './sealed-tokens.repository.js';

/**
 * Refreshes exactly once: a single-flight for each account in this process, and a lease for each generation among all
 * processes. No database connection is held during the call to the provider. See README.md beside this file.
 */
export class TokenRefresher {
  readonly #deps: RefreshDeps;
  readonly #attempt: RefreshAttempt;
  readonly #attempts = new SingleFlight<Outcome>();
  #waiting = 0;

  constructor(deps: RefreshDeps) {
    this.#deps = deps;
    this.#attempt = new RefreshAttempt(deps);
  }

  /** Callers that wait for a result now. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * An access token that lives at least `minTtlMs`, or the best there is.
   *
   * Throws `AccountNotFoundError`, `ReauthenticationRequiredError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`; the last two only when the stored token has expired.
   */
  async accessToken(accountId: string, minTtlMs: number = this.#deps.marginMs): Promise<FreshAccessToken> {
    const deadline = this.#deps.now() + this.#deps.waitMs;
    for (let round = 0; ; round += 1) {
      const row = await this.#read(accountId);
      const token = await this.#step(row, minTtlMs, deadline, round);
      if (token) return token;
      if (this.#deps.now() >= deadline) {
        return this.#stillValid(accountId, new ProviderUnavailableError(1_000));
      }
    }
  }

  /** Resolves when no refresh is in flight in this process, for a graceful shutdown. */
  drain(): Promise<void> {
    return this.#attempts.drain();
  }

  async #step(row: ReadRow, minTtlMs: number, deadline: number, round: number): Promise<Outcome> {
    const { leases, now, onEvent } = this.#deps;
    const { accountId, generation } = row;
    switch (decideRefresh(row, minTtlMs, now())) {
      case 'serve':
        return this.#open(row);
      case 'dead':
        throw new ReauthenticationRequiredError();
      case 'pause':
        throw new ProviderUnavailableError(Math.ceil(row.retryInMs));
      case 'lost':
        if (await leases.markResponseLost(accountId, generation)) {
          onEvent({ type: 'response_lost', accountId });
        }
        return undefined;
      case 'wait': {
        return this.#attempts.has(accountId) ? this.#refresh(row, deadline) : this.#poll(round);
      }
      case 'refresh': {
        // Without a result another process was faster, or holds the row.
        return (await this.#refresh(row, deadline)) ?? (now() < deadline ? this.#poll(round) : undefined);
      }
    }
  }

  #poll(round: number): Promise<undefined> {
    const { random, sleep } = this.#deps;
    return this.#whileWaiting(() => sleep(pollMs(round, random())).then(() => undefined));
  }

  /** Starts the attempt or joins the one in flight, and waits until the deadline of this caller; the attempt goes on. */
  async #refresh(row: ReadRow, deadline: number): Promise<Outcome> {
    const attempt = this.#attempts.run(row.accountId, () => this.#attempt.run(row));
    const timeout = new AbortController();
    try {
      const late = sleepUntil(deadline, this.#deps, timeout.signal);
      return await this.#whileWaiting(() => Promise.race([attempt, late]));
    } catch (error) {
      return await this.#stillValid(row.accountId, error);
    } finally {
      timeout.abort();
    }
  }

  async #whileWaiting<Result>(wait: () => Promise<Result>): Promise<Result> {
    this.#waiting += 1;
    try {
      return await wait();
    } finally {
      this.#waiting -= 1;
    }
  }

  /**
   * A provider that fails does not invalidate a token that has not expired. The row is read again, because another
   * process may have succeeded meanwhile, or the account may have been unlinked.
   */
  async #stillValid(accountId: string, error: unknown): Promise<FreshAccessToken> {
    const transient =
      error instanceof ProviderUnavailableError || error instanceof ProviderMisconfiguredError;
    if (!transient) throw error;
    const row = await this.#read(accountId);
    if (row.status !== 'ACTIVE') throw new ReauthenticationRequiredError({ cause: error });
    if (remainingMs(row.accessTokenExpiresAt, this.#deps.now()) > 0) return this.#open(row);
    throw error;
  }

  async #read(accountId: string): Promise<ReadRow> {
    const { leases, rotation, cipher, now } = this.#deps;
    const row = await leases.read(accountId);
    if (!row) throw new AccountNotFoundError();
    // Tokens of another issuer or client rest: they are shown to nobody else, and come back with the settings.
    if (!isOf(cipher.registration, row)) throw new ReauthenticationRequiredError();
    const refreshTokenRotates = rotation === 'auto' ? row.refreshTokenRotates : rotation === 'always';
    return { ...row, refreshTokenRotates, databaseAheadMs: row.readAtMs - now() };
  }

  async #open(row: SealedRow): Promise<FreshAccessToken> {
    const { accessTokenExpiresAt, generation } = row;
    try {
      const accessToken = await this.#deps.cipher.open(row, 'accessToken');
      return { accessToken, accessTokenExpiresAt, generation };
    } catch (error) {
      throw error instanceof SealBrokenError ? await endBrokenSeal(this.#deps, row, error) : error;
    }
  }
}
