import type { SqlEntityManager } from '@mikro-orm/sql';
import type { ClientRegistration } from '../token-set.js';
import type { RefreshLeaseRepository } from './refresh-steps.js';
import { CONTENT_COLUMNS, of, readSealed, type SealedContent } from './sealed-row.repository.js';
import { changesRows } from './sealed-tokens.repository.js';

/** The row whose tokens are those of this client. */
const OURS = 'account_id = ? and issuer = ? and client_id = ?';

/** @param em forked for every operation. */
// oxlint-disable-next-line max-lines-per-function -- one SQL statement an operation
export function refreshLeaseRepository(
  em: SqlEntityManager,
  client: ClientRegistration,
): RefreshLeaseRepository {
  const changes = (sql: string, params: unknown[]): Promise<boolean> => changesRows(em.fork(), sql, params);
  const ours = (accountId: string): [string, string, string] => [accountId, ...of(client)];
  return {
    read: (accountId) => readSealed(em.fork(), client, accountId),
    claim: async ({ accountId, generation, leaseId, leaseMs, takeOver, madeAtMs }) => {
      const rows = await em.fork().execute<SealedContent[]>(
        `update sealed_tokens
         set lease_id = ?, lease_expires_at = clock_timestamp() + ? * interval '1 millisecond'
         where account_id = (
           select account_id from sealed_tokens
           where ${OURS} and generation = ? and status = 'ACTIVE'
             and (lease_id is null
               or (lease_expires_at <= clock_timestamp() and (? or pending_response is not null)))
             and (retry_at is null or retry_at <= clock_timestamp())
             and clock_timestamp() < to_timestamp(?::float8 / 1000)
           for update skip locked)
         returning ${CONTENT_COLUMNS}`,
        [leaseId, leaseMs, ...ours(accountId), generation, takeOver, madeAtMs + leaseMs],
      );
      return rows[0];
    },
    putRefreshed: (accountId, generation, tokens) =>
      changes(
        `update sealed_tokens set
           status = 'ACTIVE', scope = ?, access_token = ?, id_token = coalesce(?, id_token),
           refresh_token = coalesce(?, refresh_token), access_token_issued_at = ?, access_token_expires_at = ?,
           refresh_token_rotates = ?, generation = generation + 1, last_refreshed_at = clock_timestamp(),
           pending_response = null, lease_id = null, lease_expires_at = null, failure_count = 0,
           retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
         where ${OURS} and generation = ?`,
        [
          tokens.scope,
          tokens.accessToken,
          tokens.idToken,
          tokens.refreshToken,
          tokens.accessTokenIssuedAt,
          tokens.accessTokenExpiresAt,
          tokens.refreshTokenRotates,
          tokens.delayMs,
          ...ours(accountId),
          generation,
        ],
      ),
    putResponse: (accountId, generation, { pendingResponse, leaseId, backOffMs }) =>
      changes(
        `update sealed_tokens set status = 'ACTIVE', pending_response = ?,
           lease_expires_at = case when lease_id = ? then null else lease_expires_at end,
           lease_id = nullif(lease_id, ?), failure_count = failure_count + 1,
           retry_at = clock_timestamp() + ?::float8 * interval '1 millisecond'
         where ${OURS} and generation = ?`,
        [pendingResponse, leaseId, leaseId, backOffMs, ...ours(accountId), generation],
      ),
    release: (accountId, leaseId, backOffMs, dropResponse = false) =>
      changes(
        `update sealed_tokens set status = case when ?::float8 > 0 then status else 'ACTIVE' end,
           pending_response = case when ? then null else pending_response end,
           lease_id = null, lease_expires_at = null,
           failure_count = failure_count + case when ?::float8 > 0 then 1 else 0 end,
           retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
         where ${OURS} and lease_id = ?`,
        [backOffMs, dropResponse, backOffMs, backOffMs, ...ours(accountId), leaseId],
      ),
    markDead: (accountId, generation) =>
      changes(
        `update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED', generation = generation + 1,
           pending_response = null, lease_id = null, lease_expires_at = null, retry_at = null
         where ${OURS} and generation = ?`,
        [...ours(accountId), generation],
      ),
    markResponseLost: (accountId, generation) =>
      changes(
        `update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED'
         where ${OURS} and generation = ? and status = 'ACTIVE' and pending_response is null
           and lease_id is not null and lease_expires_at <= clock_timestamp()`,
        [...ours(accountId), generation],
      ),
  };
}
