import type { SqlEntityManager } from '@mikro-orm/sql';
import { changesRows, readSealed, type SealedLink, type SealedRow } from './sealed-tokens.repository.js';

/** Ciphertexts and clear columns of a refresh. `null` keeps what the row holds. */
export interface SealedRefresh extends SealedLink {
  readonly refreshTokenRotates: boolean;
  /** Milliseconds before the provider may be asked again; 0 for none. */
  readonly pauseMs: number;
}

/** What a claim of the right to refresh says. */
export interface LeaseClaim {
  readonly accountId: string;
  readonly generation: number;
  readonly leaseId: string;
  readonly leaseMs: number;
  /** Whether an expired claim of somebody else may be taken over. */
  readonly takeOver: boolean;
}

/** The row operations that a refresh needs. Each is one statement and a unit of work of its own; no lock outlives it. */
export interface RefreshLeaseRepository {
  /** Everything the refresh decides by, or undefined when the account is not linked. */
  read(accountId: string): Promise<SealedRow | undefined>;
  /**
   * Claims the right to refresh one generation. False when somebody else holds the lease, when the generation moved,
   * or when it is too early to ask again.
   */
  claim(claim: LeaseClaim): Promise<boolean>;
  /**
   * Writes a provider's answer, only over the generation it was asked for.
   *
   * A holder that wakes late still writes when nothing newer is there: its answer may be the only live token.
   */
  putRefreshed(accountId: string, generation: number, tokens: SealedRefresh): Promise<boolean>;
  /** Ends the claim of `leaseId` without new tokens; `pauseMs` keeps the provider from being asked again at once. */
  release(accountId: string, leaseId: string, pauseMs: number): Promise<boolean>;
  /** The provider ended the grant: final for this generation, so the generation moves and no late answer revives it. */
  markDead(accountId: string, generation: number): Promise<boolean>;
  /**
   * A rotating provider's answer was lost with its holder. The generation stays and so does the intent: should
   * the holder wake after all, `putRefreshed` brings the account back.
   */
  markResponseLost(accountId: string, generation: number): Promise<boolean>;
}

/** The rows of the database as the refresh uses them. `em` is forked for every step. */
export function refreshLeaseRepository(em: SqlEntityManager): RefreshLeaseRepository {
  const changes = (sql: string, params: unknown[]): Promise<boolean> => changesRows(em.fork(), sql, params);
  return {
    read: (accountId) => readSealed(em.fork(), accountId),
    claim: ({ accountId, generation, leaseId, leaseMs, takeOver }) =>
      changes(
        `update sealed_tokens
         set lease_id = ?, lease_expires_at = clock_timestamp() + ? * interval '1 millisecond'
         where account_id = ? and generation = ? and status = 'ACTIVE'
           and (lease_id is null or (lease_expires_at <= clock_timestamp() and ?))
           and (retry_at is null or retry_at <= clock_timestamp())`,
        [leaseId, leaseMs, accountId, generation, takeOver],
      ),
    putRefreshed: (accountId, generation, tokens) =>
      changes(
        `update sealed_tokens set
           status = 'ACTIVE', scope = ?, access_token = ?, id_token = coalesce(?, id_token),
           refresh_token = coalesce(?, refresh_token), key_ids = ?, access_token_expires_at = ?,
           refresh_token_rotates = ?, generation = generation + 1, last_refreshed_at = clock_timestamp(),
           lease_id = null, lease_expires_at = null, failure_count = 0,
           retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
         where account_id = ? and generation = ?`,
        [
          tokens.scope,
          tokens.accessToken,
          tokens.idToken,
          tokens.refreshToken,
          tokens.keyIds,
          tokens.accessTokenExpiresAt,
          tokens.refreshTokenRotates,
          tokens.pauseMs,
          accountId,
          generation,
        ],
      ),
    release: (accountId, leaseId, pauseMs) =>
      changes(
        `update sealed_tokens set lease_id = null, lease_expires_at = null,
           failure_count = failure_count + case when ?::float8 > 0 then 1 else 0 end,
           retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
         where account_id = ? and lease_id = ?`,
        [pauseMs, pauseMs, accountId, leaseId],
      ),
    markDead: (accountId, generation) =>
      changes(
        `update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED', generation = generation + 1,
           lease_id = null, lease_expires_at = null, retry_at = null
         where account_id = ? and generation = ?`,
        [accountId, generation],
      ),
    markResponseLost: (accountId, generation) =>
      changes(
        `update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED'
         where account_id = ? and generation = ? and status = 'ACTIVE'
           and lease_id is not null and lease_expires_at <= clock_timestamp()`,
        [accountId, generation],
      ),
  };
}
