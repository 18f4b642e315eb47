import {
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SealBrokenError,
} from '../errors.js';
import { backOffMs } from '../back-off.js';
import type { RefreshDeps, RenewableTokens } from './refresh-deps.js';
import { remainingMs } from './refresh-decision.js';
import type { LeaseClaim } from './refresh-lease.repository.js';
import type { SealedRow } from './sealed-tokens.repository.js';
import { keyIds, sealContext, sealTokens } from './token-seal.js';
import type { FreshAccessToken, TokenSet } from '../token-set.js';

/** A settled attempt: the new token, or `undefined` when the row moved on and has to be read again. */
export type Outcome = FreshAccessToken | undefined;

/** Least pause between two refreshes when the provider hands out tokens that hardly live. */
const SHORT_LIVED_PAUSE_MS = 10_000;
const WRITE_FOR_MS = 30_000;
/** Pauses between looks for a claim that may yet come to stand. */
const LATE_CLAIM_MS = [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000];

/** One attempt to refresh: claim the lease, ask the provider, settle the row. */
export class RefreshAttempt {
  constructor(private readonly deps: RefreshDeps) {}

  /**
   * Throws `ReauthenticationRequiredError`, `ProviderUnavailableError` or `ProviderMisconfiguredError`; by then the
   * row and the log know.
   */
  async run(row: SealedRow): Promise<Outcome> {
    const { gate, leaseMs, newId, onEvent } = this.deps;
    const { accountId, generation } = row;
    gate.check();
    return gate.run(async () => {
      const leaseId = newId();
      // From here on the row tells that the provider may have been asked, should this process die.
      const takeOver = !row.refreshTokenRotates;
      if (!(await this.#claim({ accountId, generation, leaseId, leaseMs, takeOver }))) return undefined;
      if (row.leaseId !== null) onEvent({ type: 'taken_over', accountId });
      return this.#ask(row, leaseId);
    });
  }

  async #claim(claim: LeaseClaim): Promise<boolean> {
    try {
      return await this.deps.store.claim(claim);
    } catch (error) {
      // What cannot be given back at all runs out by itself.
      void this.#giveBack(claim).catch(() => undefined);
      throw error;
    }
  }

  /**
   * A claim whose answer was lost may stand in the row, or come to stand there later: the database goes on with a
   * statement that nobody waits for any more, behind a lock for instance. Nobody has asked the provider.
   */
  async #giveBack({ accountId, leaseId }: LeaseClaim): Promise<void> {
    const { store, sleep } = this.deps;
    for (const waitMs of LATE_CLAIM_MS) {
      await sleep(waitMs);
      if (await this.#insist(() => store.release(accountId, leaseId, 0))) return;
    }
  }

  async #ask(row: SealedRow, leaseId: string): Promise<Outcome> {
    const { askProvider, gate, now } = this.deps;
    const startedAt = now();
    let current: RenewableTokens;
    let answer: TokenSet;
    try {
      current = await this.#open(row);
      answer = await askProvider(current);
    } catch (error) {
      gate.settle(error);
      return this.#settleFailure(row, leaseId, error, now() - startedAt);
    }
    gate.settle();
    // Handing the same refresh token back is no rotation.
    const same = answer.refreshToken === current.refreshToken;
    return this.#settleSuccess(
      row,
      same ? { ...answer, refreshToken: undefined } : answer,
      now() - startedAt,
    );
  }

  async #settleSuccess(row: SealedRow, answer: TokenSet, durationMs: number): Promise<Outcome> {
    const { store, cipher, now, onEvent, marginMs, rotation } = this.deps;
    const { accountId, generation } = row;
    const sealed = await sealTokens(cipher, accountId, answer);
    const idToken = sealed.idToken ?? row.idToken;
    const refreshToken = sealed.refreshToken ?? row.refreshToken;
    const shortLived = remainingMs(answer.accessTokenExpiresAt, now()) < 2 * marginMs;
    const learned = row.refreshTokenRotates || answer.refreshToken !== undefined;
    const refresh = {
      ...sealed,
      keyIds: keyIds(cipher, { ...sealed, idToken, refreshToken }),
      refreshTokenRotates: rotation === 'auto' ? learned : rotation === 'always',
      pauseMs: shortLived ? SHORT_LIVED_PAUSE_MS : 0,
    };
    const stored = await this.#insist(() => store.putRefreshed(accountId, generation, refresh));
    onEvent({ type: stored ? 'refreshed' : 'superseded', accountId, durationMs });
    return stored ? { ...answer, generation: generation + 1 } : undefined;
  }

  async #settleFailure(
    row: SealedRow,
    leaseId: string,
    cause: unknown,
    durationMs: number,
  ): Promise<Outcome> {
    const { onEvent, random, backOffBaseMs } = this.deps;
    const { accountId, generation } = row;
    if (cause instanceof GrantDeadError) {
      // The row may hold a newer generation by now: then somebody else's token lives, and this word is not about it.
      if (!(await this.#insist(() => endGrant(this.deps, accountId, generation)))) return undefined;
      throw new ReauthenticationRequiredError({ cause });
    }
    if (cause instanceof SealBrokenError) throw await endBrokenSeal(this.deps, row, cause, leaseId);
    if (cause instanceof ProviderMisconfiguredError) {
      onEvent({ type: 'misconfigured', accountId, cause });
      await this.#release(accountId, leaseId, 0);
      throw cause;
    }
    const retryAfterMs = cause instanceof ProviderUnavailableError ? cause.retryAfterMs : 0;
    const pauseMs = backOffMs(row.failureCount + 1, backOffBaseMs, random(), retryAfterMs);
    onEvent({ type: 'failed', accountId, cause, durationMs, backOffMs: pauseMs });
    await this.#release(accountId, leaseId, pauseMs);
    throw new ProviderUnavailableError(pauseMs, { cause });
  }

  async #open(row: SealedRow): Promise<RenewableTokens> {
    const { cipher } = this.deps;
    // What the answer omits stays, so it must be whole: nobody is asked for a token that cannot be stored.
    if (row.idToken !== null) cipher.kidOf(row.idToken);
    const open = (sealed: string, column: 'access_token' | 'refresh_token'): Promise<string> =>
      cipher.open(sealed, sealContext(row.accountId, column));
    return {
      accessToken: await open(row.accessToken, 'access_token'),
      refreshToken: await open(row.refreshToken ?? '', 'refresh_token'),
      accessTokenExpiresAt: row.accessTokenExpiresAt,
      scopes: row.scopes,
    };
  }

  /** At once or, when the database stumbles, as soon as it answers again: nobody waits for that. */
  async #release(accountId: string, leaseId: string, pauseMs: number): Promise<void> {
    const release = (): Promise<boolean> => this.deps.store.release(accountId, leaseId, pauseMs);
    try {
      await release();
    } catch (cause) {
      this.deps.onEvent({ type: 'not_recorded', accountId, cause });
      // What cannot be given back at all runs out by itself.
      void this.#insist(release).catch(() => undefined);
    }
  }

  /** The answer in hand may be the only live token, so a database that stumbles is asked again. */
  async #insist(write: () => Promise<boolean>): Promise<boolean> {
    const { now, sleep } = this.deps;
    const until = now() + WRITE_FOR_MS;
    for (let tries = 1; ; tries += 1) {
      try {
        return await write();
      } catch (error) {
        if (now() >= until) throw error;
        await sleep(Math.min(50 * 2 ** tries, 1_000));
      }
    }
  }
}

/** The provider's word that a grant is dead, about these very tokens: false when newer ones are there by now. */
export async function endGrant(
  { store, onEvent }: Pick<RefreshDeps, 'store' | 'onEvent'>,
  accountId: string,
  generation: number,
): Promise<boolean> {
  const ended = await store.markDead(accountId, generation);
  if (ended) onEvent({ type: 'grant_dead', accountId });
  return ended;
}

/**
 * Damaged or moved ciphertext ends the link. A key that this process lacks does not: another process may have
 * it, so the row stays as it is.
 */
export async function endBrokenSeal(
  { store, onEvent }: Pick<RefreshDeps, 'store' | 'onEvent'>,
  row: SealedRow,
  cause: SealBrokenError,
  leaseId?: string,
): Promise<Error> {
  onEvent({ type: 'seal_broken', accountId: row.accountId, cause });
  if (cause.code !== 'SEAL_UNKNOWN_KEY') await store.markDead(row.accountId, row.generation);
  else if (leaseId !== undefined) await store.release(row.accountId, leaseId, 0);
  return new ReauthenticationRequiredError({ cause });
}
