import { pollMs, sleepUntil } from '../back-off.js';
import {
  AccountNotFoundError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SealBrokenError,
} from '../errors.js';
import type { FreshAccessToken } from '../token-set.js';
import { endBrokenSeal } from './end-grant.js';
import { RefreshAttempt } from './refresh-attempt.js';
import type { Outcome, ReadRow, ReadState, RefreshDeps } from './refresh-deps.js';
import { decideRefresh, remainingMs } from './refresh-decision.js';
import type { SealedRow } from './sealed-row.repository.js';
import { SharedAttempts } from './shared-attempts.js';

/**
 * Refreshes exactly once: a single-flight for each account here, and a lease for each generation among all processes. No
 * connection is held during the call to the provider. See README.md beside this file.
 */
export class TokenRefresher {
  readonly #deps: RefreshDeps;
  readonly #attempt: RefreshAttempt;
  readonly #attempts = new SharedAttempts<Outcome>();
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
   * An access token that lives at least `minTtlMs`, or the best there is; `stored` is the row, if it was read just now.
   *
   * Throws `AccountNotFoundError`, `ReauthenticationRequiredError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`; the last two only when the stored token has expired.
   */
  async accessToken(
    accountId: string,
    minTtlMs: number = this.#deps.marginMs,
    stored?: SealedRow,
  ): Promise<FreshAccessToken> {
    const deadline = this.#deps.now() + this.#deps.waitMs;
    for (let round = 0; ; round += 1) {
      const row = await this.#read(accountId, round === 0 ? stored : undefined);
      const token = await this.#step(row, minTtlMs, deadline, round);
      if (token) return token;
      const isLate = this.#deps.now() >= deadline;
      if (isLate) return this.#stillValid(accountId, new ProviderUnavailableError(1_000));
    }
  }

  /** Resolves when no refresh is in flight in this process, for a graceful shutdown. */
  drain(): Promise<void> {
    return this.#attempts.drain();
  }

  async #step(row: ReadRow, minTtlMs: number, deadline: number, round: number): Promise<Outcome> {
    const { leases, now, onEvent } = this.#deps;
    const { accountId, generation, retryInMs } = row.state;
    switch (decideRefresh(row.state, minTtlMs)) {
      case 'serve':
        return this.#open(row);
      case 'dead':
        throw new ReauthenticationRequiredError();
      case 'pause':
        throw new ProviderUnavailableError(Math.ceil(retryInMs));
      case 'lost':
        if (await leases.markResponseLost(accountId, generation)) {
          onEvent({ type: 'response_lost', accountId });
        }
        return undefined;
      case 'wait':
        return this.#attempts.has(accountId) ? this.#refresh(row.state, deadline) : this.#poll(round);
      case 'refresh':
        // Without a result another process was faster, or holds the row.
        return (
          (await this.#refresh(row.state, deadline)) ?? (now() < deadline ? this.#poll(round) : undefined)
        );
    }
  }

  async #poll(round: number): Promise<undefined> {
    await this.#whileWaiting(() => this.#deps.sleep(pollMs(round, this.#deps.random())));
  }

  /**
   * Starts the attempt or joins the one in flight, and waits until the deadline of this caller. An attempt that has
   * begun goes on; one that queues behind others leaves the queue when nobody waits for it any more.
   */
  async #refresh(state: ReadState, deadline: number): Promise<Outcome> {
    const { accountId } = state;
    const timeout = new AbortController();
    try {
      const late = sleepUntil(deadline, this.#deps, timeout.signal);
      const start = (givenUp: AbortSignal): Promise<Outcome> => this.#attempt.run(state, givenUp);
      return await this.#whileWaiting(() => this.#attempts.join(accountId, start, late));
    } catch (error) {
      return await this.#stillValid(accountId, error);
    } finally {
      // Without a reason an exception is made, with its stack trace.
      timeout.abort('settled');
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
    if (row.state.status !== 'ACTIVE') throw new ReauthenticationRequiredError({ cause: error });
    if (remainingMs(row.state) > 0) return this.#open(row);
    throw error;
  }

  async #read(accountId: string, stored?: SealedRow): Promise<ReadRow> {
    const { leases, rotation, now } = this.#deps;
    const row = stored ?? (await leases.read(accountId));
    if (!row) throw new AccountNotFoundError();
    const refreshTokenRotates = rotation === 'auto' ? row.state.refreshTokenRotates : rotation === 'always';
    return { content: row.content, state: { ...row.state, refreshTokenRotates, seenAtMs: now() } };
  }

  async #open({ state, content }: ReadRow): Promise<FreshAccessToken> {
    try {
      const accessToken = await this.#deps.cipher.open(content, 'accessToken');
      return { accessToken, accessTokenExpiresAt: state.accessTokenExpiresAt, generation: state.generation };
    } catch (error) {
      throw error instanceof SealBrokenError ? await endBrokenSeal(this.#deps, content, state, error) : error;
    }
  }
}
