import { backOffMs } from '../back-off.js';
import {
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SealBrokenError,
} from '../errors.js';
import type { FreshAccessToken, RenewableTokens, TokenSet } from '../token-set.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { endBrokenSeal, endGrant } from './end-grant.js';
import { remainingMs } from './refresh-decision.js';
import { RefreshLease, type RefreshLeaseDeps } from './refresh-lease.js';
import type { SealedRow } from './sealed-tokens.repository.js';
import type { VaultSettings } from './settings.js';
import type { TokenCipher } from './token-cipher.js';

/**
 * Calls the provider: current tokens in, new tokens out; what the response omits is absent.
 *
 * Throws `GrantDeadError` only when the provider says so explicitly, `ProviderMisconfiguredError` when it rejects this
 * server's credentials, and anything else when the outcome is unknown. Its timeout is shorter than the lease.
 */
export type RefreshTokens = (current: RenewableTokens) => Promise<TokenSet>;

type RefreshSettings = VaultSettings['refresh'];

/** The settings of a refresh and what it depends on. Time and randomness are parameters, so that tests own them. */
export interface RefreshDeps extends RefreshLeaseDeps, RefreshSettings {
  readonly cipher: TokenCipher;
  readonly refreshTokens: RefreshTokens;
  readonly breaker: CircuitBreaker;
  readonly random: () => number;
  readonly newId: () => string;
}

/** A row, and by how much the clock of the database is ahead of ours, in milliseconds. */
export interface ReadRow extends SealedRow {
  readonly databaseAheadMs: number;
}

/** The new token, or `undefined` when the row has changed and must be read again. */
export type Outcome = FreshAccessToken | undefined;

/** Least time between two refreshes when the provider issues tokens that live hardly longer than the margin. */
const SHORT_LIVED_DELAY_MS = 10_000;

/** One attempt to refresh: claim the lease, call the provider, store the tokens or record the failure. */
export class RefreshAttempt {
  readonly #deps: RefreshDeps;
  readonly #lease: RefreshLease;

  constructor(deps: RefreshDeps) {
    this.#deps = deps;
    this.#lease = new RefreshLease(deps);
  }

  /**
   * Throws `ReauthenticationRequiredError`, `ProviderUnavailableError` or `ProviderMisconfiguredError`; by then the
   * failure is in the row and in the log.
   */
  async run(row: ReadRow): Promise<Outcome> {
    const { breaker, now } = this.#deps;
    const leaseId = this.#deps.newId();
    const attempt = { claimed: false, startedAt: 0 };
    let tokens: TokenSet | undefined;
    try {
      tokens = await breaker.call(async () => {
        attempt.claimed = await this.#claim(row, leaseId);
        attempt.startedAt = now();
        return attempt.claimed ? this.#request(row) : undefined;
      });
    } catch (error) {
      // The circuit is open or the database failed: the provider was not called.
      if (!attempt.claimed) throw error;
      return this.#recordFailure(row, leaseId, error, now() - attempt.startedAt);
    }
    return tokens && this.#store(row, tokens, now() - attempt.startedAt);
  }

  /** From here on the row shows that the provider may have been called, in case this process dies. */
  async #claim(row: ReadRow, leaseId: string): Promise<boolean> {
    const { accountId, generation } = row;
    const { leaseMs, now, onEvent } = this.#deps;
    const takeOver = !row.refreshTokenRotates;
    const madeAtMs = now() + row.databaseAheadMs;
    const claimed = await this.#lease.claim({ accountId, generation, leaseId, leaseMs, takeOver, madeAtMs });
    if (claimed && row.leaseId !== null) onEvent({ type: 'taken_over', accountId });
    return claimed;
  }

  async #request(row: SealedRow): Promise<TokenSet> {
    const { cipher } = this.#deps;
    // Nobody needs the ID token, but a response may leave it in its place: a damaged one is noticed before the call.
    if (row.idToken !== null) await cipher.open(row, 'idToken');
    const current = {
      accessToken: await cipher.open(row, 'accessToken'),
      refreshToken: await cipher.open(row, 'refreshToken'),
    };
    const tokens = await this.#deps.refreshTokens(current);
    // The same refresh token again is no rotation.
    return tokens.refreshToken === current.refreshToken ? { ...tokens, refreshToken: undefined } : tokens;
  }

  async #store(row: SealedRow, tokens: TokenSet, durationMs: number): Promise<Outcome> {
    const { leases, cipher, now, onEvent, marginMs, rotation } = this.#deps;
    const { accountId, generation } = row;
    const shortLived = remainingMs(tokens.accessTokenExpiresAt, now()) < 2 * marginMs;
    const learned = row.refreshTokenRotates || tokens.refreshToken !== undefined;
    const refresh = {
      ...(await cipher.sealRefresh(row, tokens)),
      refreshTokenRotates: rotation === 'auto' ? learned : rotation === 'always',
      delayMs: shortLived ? SHORT_LIVED_DELAY_MS : 0,
    };
    const stored = await this.#lease.write(() => leases.putRefreshed(accountId, generation, refresh));
    onEvent({ type: stored ? 'refreshed' : 'superseded', accountId, durationMs });
    const { accessToken, accessTokenExpiresAt } = tokens;
    return stored ? { accessToken, accessTokenExpiresAt, generation: generation + 1 } : undefined;
  }

  async #recordFailure(
    row: SealedRow,
    leaseId: string,
    cause: unknown,
    durationMs: number,
  ): Promise<Outcome> {
    const { onEvent, random, backOffBaseMs } = this.#deps;
    const { accountId, generation } = row;
    if (cause instanceof GrantDeadError) {
      // Undefined: the row has a later generation, which this error is not about.
      if (!(await this.#lease.write(() => endGrant(this.#deps, accountId, generation)))) return undefined;
      throw new ReauthenticationRequiredError({ cause });
    }
    if (cause instanceof SealBrokenError) throw await endBrokenSeal(this.#deps, row, cause, leaseId);
    if (cause instanceof ProviderMisconfiguredError) {
      onEvent({ type: 'misconfigured', accountId, cause });
      await this.#lease.release(accountId, leaseId, 0);
      throw cause;
    }
    const retryAfterMs = cause instanceof ProviderUnavailableError ? cause.retryAfterMs : 0;
    const delayMs = backOffMs(row.failureCount + 1, backOffBaseMs, random(), retryAfterMs);
    onEvent({ type: 'failed', accountId, cause, durationMs, backOffMs: delayMs });
    await this.#lease.release(accountId, leaseId, delayMs);
    throw new ProviderUnavailableError(delayMs, { cause });
  }
}
