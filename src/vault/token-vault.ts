import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { type FreshAccessToken, isOf, type TokenSet, type TokenState } from '../token-set.js';
import { SealBrokenError } from '../errors.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { endGrant, reportBrokenSeal } from './end-grant.js';
import type { RefreshDeps } from './refresh-attempt.js';
import { refreshLeaseRepository } from './refresh-lease.repository.js';
import { findTokenStates, putSealed, readSealed } from './sealed-tokens.repository.js';
import type { VaultSettings } from './settings.js';
import { TokenRefresher } from './token-refresher.js';

/** The facade of the room: takes token sets in and hands fresh access tokens out. A refresh token never leaves it. */
export interface TokenVault {
  /** Seals and stores the tokens of a link, inside the link's transaction. */
  put(tx: SqlEntityManager, accountId: string, tokens: TokenSet): Promise<void>;
  /**
   * Reads the refresh token of an account that the transaction is about to delete. Returns the function that revokes it
   * at the provider, or reports that it does not open, to be called after the commit; undefined when there is none.
   */
  prepareRevocation(tx: SqlEntityManager, accountId: string): Promise<(() => Promise<void>) | undefined>;
  /** Clear columns only; opens no ciphertext. */
  states(em: SqlEntityManager, accountIds: readonly string[]): Promise<TokenState[]>;
  /** See `TokenRefresher.accessToken`. */
  accessToken(accountId: string, minTtlSeconds?: number): Promise<FreshAccessToken>;
  /** See `endGrant`: for a provider that reports a dead grant elsewhere than at a refresh. */
  endGrant(accountId: string, generation: number): Promise<boolean>;
  /** Resolves when no refresh is in flight in this process. */
  drain(): Promise<void>;
  /** Callers that wait for a refresh now. */
  waiting(): number;
  /** Whether the provider rejects this server's credentials. */
  circuitOpen(): boolean;
}

/** What the vault depends on. It does not know Rollup ID: it is handed the functions that refresh and revoke. */
export interface TokenVaultDeps extends Pick<
  RefreshDeps,
  'cipher' | 'refreshTokens' | 'onEvent' | 'now' | 'isKnownKey'
> {
  /** Revokes a refresh token at the provider (RFC 7009). Throws `ProviderUnavailableError`. */
  readonly revoke: (refreshToken: string) => Promise<void>;
  /** Milliseconds, never goes backwards: for the circuit breaker. */
  readonly monotonicNow: () => number;
}

/** @param em forked for every use. */
export function createTokenVault(
  em: SqlEntityManager,
  { refresh, circuit }: Pick<VaultSettings, 'refresh' | 'circuit'>,
  { revoke, monotonicNow, ...deps }: TokenVaultDeps,
): TokenVault {
  const { cipher, onEvent } = deps;
  const leases = refreshLeaseRepository(em);
  const breaker = new CircuitBreaker({ ...circuit, now: monotonicNow });
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    delay(ms, undefined, { signal, ref: false });
  const runtime = { sleep, random: Math.random, newId: randomUUID };
  const refresher = new TokenRefresher({ ...refresh, ...deps, ...runtime, leases, breaker });
  return {
    put: async (tx, accountId, tokens) => putSealed(tx, accountId, await cipher.sealLink(accountId, tokens)),
    prepareRevocation: async (tx, accountId) => {
      const row = await readSealed(tx, accountId);
      if (!row || row.refreshToken === null || !isOf(cipher.registration, row)) return undefined;
      try {
        const token = await cipher.open(row, 'refreshToken');
        return () => revoke(token);
      } catch (cause) {
        if (!(cause instanceof SealBrokenError)) throw cause;
        // It asks the database, which the transaction may hold the only connection to.
        return async () => void (await reportBrokenSeal(deps, row, cause));
      }
    },
    states: findTokenStates,
    accessToken: (accountId, minTtlSeconds) =>
      refresher.accessToken(accountId, minTtlSeconds === undefined ? undefined : minTtlSeconds * 1_000),
    endGrant: (accountId, generation) => endGrant({ leases, onEvent }, accountId, generation),
    drain: () => refresher.drain(),
    waiting: () => refresher.waiting,
    circuitOpen: () => breaker.isOpen,
  };
}
