import {
  AccountNotFoundError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SealBrokenError,
} from '../errors.js';
import { backOffMs, decideRefresh } from './refresh-decision.js';
import type { SealedRefresh, SealedRow } from './sealed-tokens.repository.js';
import type { TokenCipher } from './token-cipher.js';
import { keyIds, sealContext, sealTokens } from './token-seal.js';
import { type FreshAccessToken, remainingMs, type TokenSet } from './token-set.js';

/** The row operations that a refresh needs; each one is a single statement, see sealed-tokens.repository. */
export interface RefreshStore {
  read(accountId: string): Promise<SealedRow | undefined>;
  claim(claim: { accountId: string; generation: number; leaseId: string; leaseMs: number }): Promise<boolean>;
  putRefreshed(accountId: string, generation: number, tokens: SealedRefresh): Promise<boolean>;
  release(accountId: string, leaseId: string, pauseMs: number): Promise<boolean>;
  markDead(accountId: string, generation: number): Promise<boolean>;
  markAnswerLost(accountId: string, generation: number): Promise<boolean>;
}

/**
 * Asks the provider: current tokens in, new tokens out; what the answer omits is left out.
 *
 * Throws `GrantDeadError` only on the provider's clear word, `ProviderMisconfiguredError` when it refuses this
 * server's credentials, and anything else when it is not known to have answered. It keeps a deadline shorter
 * than the lease.
 */
export type AskProvider = (current: TokenSet & { readonly refreshToken: string }) => Promise<TokenSet>;

/** What happened, for logs and numbers; never a token. */
export type RefreshEvent =
  | { readonly type: 'refreshed' | 'grant_dead' | 'answer_lost' | 'superseded'; readonly accountId: string }
  | {
      readonly type: 'failed' | 'misconfigured' | 'seal_broken';
      readonly accountId: string;
      readonly cause: unknown;
    };

/** What a refresh depends on. Clock, randomness and pauses are parameters, so that tests own the time. */
export interface RefreshDeps {
  readonly store: RefreshStore;
  readonly cipher: TokenCipher;
  readonly askProvider: AskProvider;
  readonly now: () => number;
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly random: () => number;
  readonly newId: () => string;
  readonly onEvent: (event: RefreshEvent) => void;
  readonly marginMs: number;
  readonly leaseMs: number;
  /** How long one caller waits for a result before it gets the best there is. */
  readonly waitMs: number;
  readonly backOffBaseMs: number;
}

const FIRST_POLL_MS = 25;
const LAST_POLL_MS = 250;
/** Least pause between two refreshes when the provider hands out tokens that hardly live. */
const SHORT_LIVED_PAUSE_MS = 10_000;
const WRITE_TRIES = 5;

/** A settled refresh: the new token, or `undefined` when the row moved on and has to be read again. */
type Outcome = FreshAccessToken | undefined;

/**
 * Refreshes exactly once: one promise for each account in this process, one lease for each generation among
 * all processes. The database is never held while the provider is asked.
 */
export class TokenRefresher {
  readonly #inFlight = new Map<string, Promise<Outcome>>();
  constructor(private readonly deps: RefreshDeps) {}

  /**
   * An access token that lives at least `minTtlMs`, or the best there is.
   *
   * Throws `AccountNotFoundError`, `ReauthenticationRequiredError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`; the last two only when the stored token has ended.
   */
  async accessToken(accountId: string, minTtlMs: number = this.deps.marginMs): Promise<FreshAccessToken> {
    const deadline = this.deps.now() + this.deps.waitMs;
    for (let round = 0; ; round += 1) {
      const row = await this.deps.store.read(accountId);
      if (!row) throw new AccountNotFoundError();
      const token = await this.#step(row, minTtlMs, deadline, round);
      if (token) return token;
      if (this.deps.now() >= deadline) return this.#stillValid(row, new ProviderUnavailableError(1_000));
    }
  }

  /** Resolves when no refresh is under way in this process; a stopping server waits for it. */
  async drain(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.allSettled(this.#inFlight.values());
  }

  async #step(row: SealedRow, minTtlMs: number, deadline: number, round: number): Promise<Outcome> {
    const { store, now, random, sleep } = this.deps;
    switch (decideRefresh(row, minTtlMs, now())) {
      case 'serve':
        return this.#open(row);
      case 'dead':
        throw new ReauthenticationRequiredError();
      case 'pause':
        throw new ProviderUnavailableError(Math.ceil(row.retryInMs));
      case 'lost':
        if (await store.markAnswerLost(row.accountId, row.generation)) {
          this.deps.onEvent({ type: 'answer_lost', accountId: row.accountId });
        }
        return undefined;
      case 'wait':
        if (this.#inFlight.has(row.accountId)) return this.#join(row, deadline);
        await sleep(Math.min(FIRST_POLL_MS * 2 ** round, LAST_POLL_MS) * (0.5 + random() / 2));
        return undefined;
      case 'refresh':
        return this.#join(row, deadline);
    }
  }

  /** Starts the refresh or joins the one under way, and waits for its result until the caller's own deadline. */
  async #join(row: SealedRow, deadline: number): Promise<Outcome> {
    const { now, sleep } = this.deps;
    const shared = this.#inFlight.get(row.accountId) ?? this.#start(row);
    const waiting = new AbortController();
    try {
      const late = sleep(Math.max(deadline - now(), 0), waiting.signal).then(() => undefined);
      return await Promise.race([shared, late.catch(() => undefined)]);
    } catch (error) {
      return await this.#stillValid(row, error);
    } finally {
      waiting.abort();
    }
  }

  #start(row: SealedRow): Promise<Outcome> {
    const shared = this.#refresh(row).finally(() => this.#inFlight.delete(row.accountId));
    // Whoever asked may be gone when it fails; the failure is in the row and in the log all the same.
    shared.catch(() => undefined);
    this.#inFlight.set(row.accountId, shared);
    return shared;
  }

  async #refresh(row: SealedRow): Promise<Outcome> {
    const { store, askProvider, leaseMs, newId } = this.deps;
    const leaseId = newId();
    const { accountId, generation } = row;
    if (!(await store.claim({ accountId, generation, leaseId, leaseMs }))) return undefined;
    let answer: TokenSet;
    try {
      const current = await this.#openForRefresh(row);
      const given = await askProvider(current);
      // Handing the same refresh token back is no rotation.
      answer = given.refreshToken === current.refreshToken ? { ...given, refreshToken: undefined } : given;
    } catch (error) {
      return this.#settleFailure(row, leaseId, error);
    }
    return this.#settleSuccess(row, answer);
  }

  async #settleSuccess(row: SealedRow, answer: TokenSet): Promise<Outcome> {
    const { store, cipher, now, onEvent, marginMs } = this.deps;
    const { accountId, generation } = row;
    const sealed = await sealTokens(cipher, accountId, answer);
    const kept = {
      ...sealed,
      idToken: sealed.idToken ?? row.idToken,
      refreshToken: sealed.refreshToken ?? row.refreshToken,
    };
    const shortLived = remainingMs(answer.accessTokenExpiresAt, now()) < 2 * marginMs;
    const stored = await this.#insist(() =>
      store.putRefreshed(accountId, generation, {
        ...sealed,
        keyIds: keyIds(kept),
        refreshTokenRotates: row.refreshTokenRotates || answer.refreshToken !== undefined,
        pauseMs: shortLived ? SHORT_LIVED_PAUSE_MS : 0,
      }),
    );
    onEvent({ type: stored ? 'refreshed' : 'superseded', accountId });
    return stored ? answer : undefined;
  }

  async #settleFailure(row: SealedRow, leaseId: string, cause: unknown): Promise<never> {
    const { store, onEvent, random, backOffBaseMs } = this.deps;
    const { accountId, generation } = row;
    if (cause instanceof GrantDeadError) {
      if (await store.markDead(accountId, generation)) onEvent({ type: 'grant_dead', accountId });
      throw new ReauthenticationRequiredError({ cause });
    }
    if (cause instanceof SealBrokenError) throw await this.#sealBroken(row, cause, leaseId);
    if (cause instanceof ProviderMisconfiguredError) {
      onEvent({ type: 'misconfigured', accountId, cause });
      await store.release(accountId, leaseId, 0);
      throw cause;
    }
    const retryAfterMs = cause instanceof ProviderUnavailableError ? cause.retryAfterMs : 0;
    const pauseMs = backOffMs(row.failureCount + 1, backOffBaseMs, random(), retryAfterMs);
    onEvent({ type: 'failed', accountId, cause });
    await store.release(accountId, leaseId, pauseMs);
    throw new ProviderUnavailableError(pauseMs, { cause });
  }

  /** A provider that is in trouble does not take back a token that still lives. */
  async #stillValid(row: SealedRow, error: unknown): Promise<FreshAccessToken> {
    const transient =
      error instanceof ProviderUnavailableError || error instanceof ProviderMisconfiguredError;
    if (transient && remainingMs(row.accessTokenExpiresAt, this.deps.now()) > 0) return this.#open(row);
    throw error;
  }

  async #open(row: SealedRow): Promise<FreshAccessToken> {
    try {
      const accessToken = await this.deps.cipher.open(
        row.accessToken,
        sealContext(row.accountId, 'access_token'),
      );
      return { accessToken, accessTokenExpiresAt: row.accessTokenExpiresAt };
    } catch (error) {
      throw error instanceof SealBrokenError ? await this.#sealBroken(row, error) : error;
    }
  }

  async #openForRefresh(row: SealedRow): Promise<TokenSet & { readonly refreshToken: string }> {
    const { accessToken, accessTokenExpiresAt } = await this.#open(row);
    const refreshToken = await this.deps.cipher.open(
      row.refreshToken ?? '',
      sealContext(row.accountId, 'refresh_token'),
    );
    return { accessToken, accessTokenExpiresAt, refreshToken, scopes: row.scope.split(' ') };
  }

  /**
   * Damaged or moved ciphertext ends the link. A key that this process lacks does not: another process may
   * have it, so the row stays as it is.
   */
  async #sealBroken(row: SealedRow, cause: SealBrokenError, leaseId?: string): Promise<Error> {
    const { store, onEvent } = this.deps;
    onEvent({ type: 'seal_broken', accountId: row.accountId, cause });
    if (cause.code !== 'SEAL_UNKNOWN_KEY') await store.markDead(row.accountId, row.generation);
    else if (leaseId !== undefined) await store.release(row.accountId, leaseId, 0);
    return new ReauthenticationRequiredError({ cause });
  }

  /** The answer in hand may be the only live token, so a database that stumbles is asked again. */
  async #insist(write: () => Promise<boolean>): Promise<boolean> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await write();
      } catch (error) {
        if (tries >= WRITE_TRIES) throw error;
        await this.deps.sleep(100 * 2 ** tries);
      }
    }
  }
}
