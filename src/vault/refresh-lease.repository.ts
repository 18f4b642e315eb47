import type { SqlEntityManager } from '@mikro-orm/sql';
import { batched, batchedLookup } from '../batched.js';
import type { ClientRegistration } from '../token-set.js';
import { claimAll, putAllRefreshed, type Refreshed } from './refresh-batch.repository.js';
import type { RefreshLeaseRepository } from './refresh-steps.js';
import { readSealed } from './sealed-row.repository.js';
import { changesRows, of } from './sealed-tokens.repository.js';

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
  const putUnheld = batched((all: readonly Refreshed[]) => putAllRefreshed(em.fork(), client, all, 'skip'));
  return {
    read: batchedLookup(
      (accountIds) => readSealed(em.fork(), client, accountIds),
      ({ content }) => content.accountId,
    ),
    claim: batched((claims) => claimAll(em.fork(), client, claims)),
    putRefreshed: async (accountId, generation, tokens) => {
      const refreshed = { accountId, generation, tokens };
      if (await putUnheld(refreshed)) return true;
      // Nobody waits for the row of another account.
      return (await putAllRefreshed(em.fork(), client, [refreshed], 'wait'))[0] === true;
    },
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
