import {
  AccountNotFoundError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SealBrokenError,
} from '../errors.js';
import { type Outcome, RefreshAttempt, endBrokenSeal } from './refresh-attempt.js';
import { decideRefresh, remainingMs } from './refresh-decision.js';
import type { RefreshDeps } from './refresh-deps.js';
import type { SealedRow } from './sealed-tokens.repository.js';
import { sealContext } from './token-seal.js';
import type { FreshAccessToken } from '../token-set.js';

const FIRST_POLL_MS = 25;
const LAST_POLL_MS = 250;

/**
 * Refreshes exactly once: one promise for each account in this process, one lease for each generation among
 * all processes. The database is never held while the provider is asked. See README.md beside this file.
 */
export class TokenRefresher {
  readonly #inFlight = new Map<string, Promise<Outcome>>();
  readonly #attempt: RefreshAttempt;
  #waiting = 0;

  constructor(private readonly deps: RefreshDeps) {
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
   * `ProviderMisconfiguredError`; the last two only when the stored token has ended.
   */
  async accessToken(accountId: string, minTtlMs: number = this.deps.marginMs): Promise<FreshAccessToken> {
    const deadline = this.deps.now() + this.deps.waitMs;
    for (let round = 0; ; round += 1) {
      const row = await this.#read(accountId);
      const token = await this.#step(row, minTtlMs, deadline, round);
      if (token) return token;
      if (this.deps.now() >= deadline)
        return this.#stillValid(accountId, new ProviderUnavailableError(1_000));
    }
  }

  /** Resolves when no refresh is under way in this process; a stopping server waits for it. */
  async drain(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.allSettled(this.#inFlight.values());
  }

  async #step(row: SealedRow, minTtlMs: number, deadline: number, round: number): Promise<Outcome> {
    const { store, now, random, sleep, onEvent } = this.deps;
    switch (decideRefresh(row, minTtlMs, now())) {
      case 'serve':
        return this.#open(row);
      case 'dead':
        throw new ReauthenticationRequiredError();
      case 'pause':
        throw new ProviderUnavailableError(Math.ceil(row.retryInMs));
      case 'lost':
        if (await store.markResponseLost(row.accountId, row.generation)) {
          onEvent({ type: 'answer_lost', accountId: row.accountId });
        }
        return undefined;
      case 'wait':
        if (this.#inFlight.has(row.accountId)) return this.#join(row, deadline);
        return this.#whileWaiting(async () => {
          await sleep(Math.min(FIRST_POLL_MS * 2 ** round, LAST_POLL_MS) * (0.5 + random() / 2));
          return undefined;
        });
      case 'refresh':
        return this.#join(row, deadline);
    }
  }

  /** Starts the refresh or joins the one under way, and waits for its result until the caller's own deadline. */
  async #join({ accountId, ...rest }: SealedRow, deadline: number): Promise<Outcome> {
    const { now, sleep } = this.deps;
    const shared = this.#inFlight.get(accountId) ?? this.#start({ accountId, ...rest });
    const waiting = new AbortController();
    const late = sleep(Math.max(deadline - now(), 0), waiting.signal).then(
      () => undefined,
      () => undefined,
    );
    try {
      return await this.#whileWaiting(() => Promise.race([shared, late]));
    } catch (error) {
      return await this.#stillValid(accountId, error);
    } finally {
      waiting.abort();
    }
  }

  #start(row: SealedRow): Promise<Outcome> {
    const shared = this.#attempt.run(row).finally(() => this.#inFlight.delete(row.accountId));
    // Whoever asked may be gone when it fails; the failure is in the row and in the log all the same.
    shared.catch(() => undefined);
    this.#inFlight.set(row.accountId, shared);
    return shared;
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
   * A provider that is in trouble does not take back a token that still lives. The row is read anew: another
   * process may have been luckier meanwhile, or the link may be gone.
   */
  async #stillValid(accountId: string, error: unknown): Promise<FreshAccessToken> {
    const transient =
      error instanceof ProviderUnavailableError || error instanceof ProviderMisconfiguredError;
    if (!transient) throw error;
    const row = await this.#read(accountId);
    if (row.status !== 'ACTIVE') throw new ReauthenticationRequiredError({ cause: error });
    if (remainingMs(row.accessTokenExpiresAt, this.deps.now()) > 0) return this.#open(row);
    throw error;
  }

  async #read(accountId: string): Promise<SealedRow> {
    const row = await this.deps.store.read(accountId);
    if (!row) throw new AccountNotFoundError();
    if (this.deps.rotation === 'auto') return row;
    return { ...row, refreshTokenRotates: this.deps.rotation === 'always' };
  }

  async #open(row: SealedRow): Promise<FreshAccessToken> {
    try {
      const accessToken = await this.deps.cipher.open(
        row.accessToken,
        sealContext(row.accountId, 'access_token'),
      );
      const { accessTokenExpiresAt, generation } = row;
      return { accessToken, accessTokenExpiresAt, generation };
    } catch (error) {
      throw error instanceof SealBrokenError ? await endBrokenSeal(this.deps, row, error) : error;
    }
  }
}
