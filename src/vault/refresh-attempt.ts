import type { TokenSet } from '../token-set.js';
import { type KeptResponse, openResponse } from './kept-response.js';
import { SHORT_LIVED_DELAY_MS } from './refresh-decision.js';
import type { Outcome, ReadState, RefreshDeps } from './refresh-deps.js';
import { type Attempt, type Claimed, isClaimed, recordFailure } from './refresh-failure.js';
import { RefreshLease } from './refresh-lease.js';
import type { SealedContent } from './sealed-row.repository.js';

const NEEDED = ['accessToken', 'refreshToken'] as const;

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
   *
   * @param givenUp nobody waits any more: an attempt that has not claimed the row never will.
   */
  async run(state: ReadState, givenUp: AbortSignal): Promise<Outcome> {
    const { breaker, newId } = this.#deps;
    const attempt: Attempt = { state, leaseId: newId(), startedAt: 0 };
    let tokens: TokenSet;
    try {
      // A response in hand costs no call.
      const response = state.hasPendingResponse
        ? await this.#reopen(attempt)
        : await breaker.call(state.accountId, givenUp, () => this.#request(attempt));
      if (!response || !isClaimed(attempt)) return undefined;
      tokens = await this.#verify(attempt, response);
    } catch (error) {
      // The circuit is open or the database failed: the provider was not called.
      if (!isClaimed(attempt)) throw error;
      return recordFailure(this.#deps, this.#lease, attempt, error);
    }
    return this.#store(attempt, tokens);
  }

  /** From here on the row shows that the provider may have been called, in case this process dies. */
  async #claim(attempt: Attempt): Promise<SealedContent | undefined> {
    const { accountId, generation, leaseId, refreshTokenRotates } = attempt.state;
    const { leaseMs, now, onEvent } = this.#deps;
    const claim = {
      accountId,
      generation,
      leaseId: attempt.leaseId,
      leaseMs,
      takeOver: !refreshTokenRotates,
    };
    const content = await this.#lease.claim({ ...claim, madeAtMs: this.#databaseNow(attempt.state) });
    if (!content) return undefined;
    if (leaseId !== null) onEvent({ type: 'taken_over', accountId });
    attempt.startedAt = now();
    return (attempt.content = content);
  }

  async #request(attempt: Attempt): Promise<KeptResponse | undefined> {
    const { cipher, refreshTokens } = this.#deps;
    const content = await this.#claim(attempt);
    if (!content) return undefined;
    // Nobody needs the ID token, but a response may leave it in its place: a damaged one is noticed before the call.
    const names = content.idToken === null ? NEEDED : ([...NEEDED, 'idToken'] as const);
    attempt.current = await cipher.openAll(content, names);
    const tokens = await refreshTokens(attempt.current.refreshToken);
    return (attempt.response = { tokens, receivedAtMs: this.#databaseNow(attempt.state) });
  }

  /** The response that an earlier attempt kept. */
  async #reopen(attempt: Attempt): Promise<KeptResponse | undefined> {
    const content = await this.#claim(attempt);
    return content && (attempt.response = await openResponse(this.#deps.cipher, content));
  }

  async #verify({ content, current }: Claimed, { tokens, receivedAtMs }: KeptResponse): Promise<TokenSet> {
    const { cipher, verifyTokens } = this.#deps;
    const { accessToken, refreshToken } = current ?? (await cipher.openAll(content, NEEDED));
    const verified = await verifyTokens(tokens, accessToken, receivedAtMs);
    // The same refresh token again is no rotation.
    const isSame = verified.refreshToken === refreshToken;
    return isSame ? { ...verified, refreshToken: undefined } : verified;
  }

  async #store({ state, content, startedAt }: Claimed, tokens: TokenSet): Promise<Outcome> {
    const { leases, cipher, now, onEvent, marginMs, rotation } = this.#deps;
    const { accountId, generation } = state;
    const { accessToken, accessTokenExpiresAt } = tokens;
    const isShortLived = accessTokenExpiresAt.getTime() - this.#databaseNow(state) < 2 * marginMs;
    const learned = state.refreshTokenRotates || tokens.refreshToken !== undefined;
    const refresh = {
      ...(await cipher.sealRefresh(content, tokens)),
      refreshTokenRotates: rotation === 'auto' ? learned : rotation === 'always',
      delayMs: isShortLived ? SHORT_LIVED_DELAY_MS : 0,
    };
    const stored = await this.#lease.write(() => leases.putRefreshed(accountId, generation, refresh));
    onEvent({ type: stored ? 'refreshed' : 'superseded', accountId, durationMs: now() - startedAt });
    if (!stored && refresh.refreshToken !== null) await this.#leave(content, refresh.refreshToken);
    return stored ? { accessToken, accessTokenExpiresAt, generation: generation + 1 } : undefined;
  }

  /** What cannot be stored is not left valid. */
  async #leave({ accountId, keyId, dataKey }: SealedContent, refreshToken: string): Promise<void> {
    const { onSuperseded, onEvent } = this.#deps;
    if (keyId === null || dataKey === null) return;
    await onSuperseded({ accountId, keyId, dataKey, refreshToken }).catch((cause: unknown) =>
      onEvent({ type: 'not_recorded', accountId, cause }),
    );
  }

  /** The time by the clock of the database, as far as this process can tell: milliseconds since the epoch. */
  #databaseNow({ readAtMs, seenAtMs }: ReadState): number {
    return readAtMs + this.#deps.now() - seenAtMs;
  }
}
