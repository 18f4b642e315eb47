import type { SqlEntityManager } from '@mikro-orm/sql';
import { changesRows, readSealed, type SealedColumns, type SealedRow } from './sealed-tokens.repository.js';

/** Ciphertexts and clear columns of a refresh. `null` keeps what the row holds. */
export interface SealedRefresh extends SealedColumns {
  readonly refreshTokenRotates: boolean;
  /** Milliseconds before the next refresh; 0 for none. */
  readonly delayMs: number;
}

/** A claim of the right to refresh one generation of an account's tokens. */
export interface LeaseClaim {
  readonly accountId: string;
  readonly generation: number;
  readonly leaseId: string;
  readonly leaseMs: number;
  /** Whether an expired claim of another process may be taken over. */
  readonly takeOver: boolean;
  /** When it is made, by the clock of the database, as far as this process can tell: milliseconds since the epoch. */
  readonly madeAtMs: number;
}

/**
 * The row operations of a refresh: a lease, and optimistic concurrency by generation. Each is one statement that commits
 * by itself; no lock outlives it.
 */
export interface RefreshLeaseRepository {
  /** Everything the refresh decides by, or undefined when the account is not linked. */
  read(accountId: string): Promise<SealedRow | undefined>;
  /**
   * Claims the right to refresh one generation. False when another process holds the lease, when the generation has
   * changed, while a back-off lasts, and while another transaction holds the row: a claim waits for nothing.
   *
   * One that is carried out after its lease would be over, by a database that was slow, claims nothing: who made it has
   * given it up, and calls nobody.
   */
  claim(claim: LeaseClaim): Promise<boolean>;
  /**
   * Stores new tokens, only over the generation that they were requested for.
   *
   * A holder whose lease has expired still stores them over that generation: they may be the only valid ones.
   */
  putRefreshed(accountId: string, generation: number, tokens: SealedRefresh): Promise<boolean>;
  /**
   * Ends the claim of `leaseId` without new tokens. More than 0 for `backOffMs` counts a failure and delays the next one.
   *
   * With 0 the provider did not use the refresh token: no response was lost, whatever `markResponseLost` found, and the
   * account is active.
   */
  release(accountId: string, leaseId: string, backOffMs: number): Promise<boolean>;
  /** The provider ended the grant: final, so the generation changes and no late response revives it. */
  markDead(accountId: string, generation: number): Promise<boolean>;
  /**
   * The response of a rotating provider was lost with the process that held the lease. Generation and lease stay: if
   * that process was only frozen, or cut off from the database, its `putRefreshed` or `release` makes the account
   * active again.
   */
  markResponseLost(accountId: string, generation: number): Promise<boolean>;
}

/** @param em forked for every operation. */
// oxlint-disable-next-line max-lines-per-function -- one SQL statement an operation
export function refreshLeaseRepository(em: SqlEntityManager): RefreshLeaseRepository {
  const changes = (sql: string, params: unknown[]): Promise<boolean> => changesRows(em.fork(), sql, params);
  return {
    read: (accountId) => readSealed(em.fork(), accountId),
    claim: ({ accountId, generation, leaseId, leaseMs, takeOver, madeAtMs }) =>
      changes(
        `update sealed_tokens
         set lease_id = ?, lease_expires_at = clock_timestamp() + ? * interval '1 millisecond'
         where account_id = (
           select account_id from sealed_tokens
           where account_id = ? and generation = ? and status = 'ACTIVE'
             and (lease_id is null or (lease_expires_at <= clock_timestamp() and ?))
             and (retry_at is null or retry_at <= clock_timestamp())
             and clock_timestamp() < to_timestamp(?::float8 / 1000)
           for update skip locked)`,
        [leaseId, leaseMs, accountId, generation, takeOver, madeAtMs + leaseMs],
      ),
    putRefreshed: (accountId, generation, tokens) =>
      changes(
        `update sealed_tokens set
           status = 'ACTIVE', scope = ?, access_token = ?, id_token = coalesce(?, id_token),
           refresh_token = coalesce(?, refresh_token), access_token_expires_at = ?,
           refresh_token_rotates = ?, generation = generation + 1, last_refreshed_at = clock_timestamp(),
           lease_id = null, lease_expires_at = null, failure_count = 0,
           retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
         where account_id = ? and generation = ?`,
        [
          tokens.scope,
          tokens.accessToken,
          tokens.idToken,
          tokens.refreshToken,
          tokens.accessTokenExpiresAt,
          tokens.refreshTokenRotates,
          tokens.delayMs,
          accountId,
          generation,
        ],
      ),
    release: (accountId, leaseId, backOffMs) =>
      changes(
        `update sealed_tokens set status = case when ?::float8 > 0 then status else 'ACTIVE' end,
           lease_id = null, lease_expires_at = null,
           failure_count = failure_count + case when ?::float8 > 0 then 1 else 0 end,
           retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
         where account_id = ? and lease_id = ?`,
        [backOffMs, backOffMs, backOffMs, accountId, leaseId],
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
