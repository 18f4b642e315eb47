import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { sleep } from '../back-off.js';
import type { FreshAccessToken, TokenSet, TokenState } from '../token-set.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { endGrant } from './end-grant.js';
import { type LinkResult, type LinkSource, putLinkTokens } from './link-tokens.js';
import type { RefreshDeps } from './refresh-deps.js';
import { refreshLeaseRepository } from './refresh-lease.repository.js';
import type { SealedRefreshToken } from './pending-revocation.repository.js';
import { RevocationOutbox, type RevocationOutboxDeps } from './revocation-outbox.js';
import { findTokenStates, joinSealed, type SealedRow } from './sealed-row.repository.js';
import { firstSealed, type SqlPart } from './sealed-tokens.repository.js';
import type { VaultSettings } from './settings.js';
import { TokenRefresher } from './token-refresher.js';

/** The facade of the room: takes token sets in and hands fresh access tokens out. A refresh token never leaves it. */
export interface TokenVault {
  /** See `putLinkTokens`. */
  put(tx: SqlEntityManager, accountId: string, tokens: TokenSet, source: LinkSource): Promise<LinkResult>;
  /** The part of a statement that stores the tokens of a new account, whose row it inserts as `account`. */
  sealFirst(accountId: string, tokens: TokenSet): Promise<SqlPart>;
  /** Refresh tokens that links and unlinks leave behind. */
  readonly revocations: RevocationOutbox;
  /** Clear columns only; opens no ciphertext. */
  states(em: SqlEntityManager, accountIds: readonly string[]): Promise<TokenState[]>;
  /** See `joinSealed`. */
  readonly joinStored: SqlPart;
  /** See `TokenRefresher.accessToken`. */
  accessToken(accountId: string, minTtlSeconds?: number, stored?: SealedRow): Promise<FreshAccessToken>;
  /** See `endGrant`: for a provider that reports a dead grant elsewhere than at a refresh. */
  endGrant(accountId: string, generation: number): Promise<boolean>;
  /** Resolves when no refresh and no revocation is in flight in this process. */
  drain(): Promise<void>;
  /** Callers that wait for a refresh now. */
  waiting(): number;
  /** Whether the provider rejects this server's credentials. */
  circuitOpen(): boolean;
}

/** What the vault depends on. It does not know Rollup ID: it is handed the functions that refresh and revoke. */
export interface TokenVaultDeps
  extends
    Pick<RefreshDeps, 'cipher' | 'refreshTokens' | 'verifyTokens' | 'onEvent' | 'isKnownKey'>,
    Pick<RevocationOutboxDeps, 'revoke' | 'canRevoke' | 'onRevocation' | 'onError'> {
  /** Milliseconds, never goes backwards: the vault asks the database for the time of day. */
  readonly monotonicNow: () => number;
}

/** @param em forked for every use. */
export function createTokenVault(
  em: SqlEntityManager,
  { refresh, circuit, revokeReplaced }: Pick<VaultSettings, 'refresh' | 'circuit' | 'revokeReplaced'>,
  { monotonicNow, ...deps }: TokenVaultDeps,
): TokenVault {
  const { cipher, onEvent } = deps;
  const { registration } = cipher;
  const leases = refreshLeaseRepository(em, registration);
  const breaker = new CircuitBreaker({ ...circuit, now: monotonicNow });
  const runtime = { sleep, now: monotonicNow, random: Math.random, newId: randomUUID };
  const revocations = new RevocationOutbox({ ...deps, em, leaseMs: refresh.leaseMs, revokeReplaced });
  const onSuperseded = async (token: SealedRefreshToken): Promise<void> =>
    revocations.addSuperseded(token, (await leases.read(token.accountId))?.content);
  const refresher = new TokenRefresher({ ...refresh, ...deps, ...runtime, leases, breaker, onSuperseded });
  return {
    put: (tx, accountId, tokens, source) =>
      putLinkTokens({ cipher, revocations }, tx, accountId, tokens, source),
    sealFirst: async (accountId, tokens) => firstSealed(await cipher.sealLink(accountId, tokens)),
    revocations,
    states: (reader, accountIds) => findTokenStates(reader, registration, accountIds),
    joinStored: joinSealed(registration),
    accessToken: (accountId, minTtlSeconds, stored) =>
      refresher.accessToken(
        accountId,
        minTtlSeconds === undefined ? undefined : minTtlSeconds * 1_000,
        stored,
      ),
    endGrant: (accountId, generation) => endGrant({ leases, onEvent }, accountId, generation),
    drain: async () => {
      await Promise.all([refresher.drain(), revocations.drain()]);
    },
    waiting: () => refresher.waiting,
    circuitOpen: () => breaker.isOpen,
  };
}
