import type { SqlEntityManager } from '@mikro-orm/sql';
import type { ClientRegistration } from '../token-set.js';

/**
 * Accounts of a client whose access token ends within so many seconds, or has ended, and that may be refreshed now with
 * these keys. A range in the order of the index: those that were put off come when they are due.
 */
export async function findExpiring(
  em: SqlEntityManager,
  { issuer, clientId }: ClientRegistration,
  kids: readonly string[],
  withinSeconds: number,
  limit: number,
): Promise<string[]> {
  const rows: { accountId: string }[] = await em.execute(
    `select account_id as "accountId" from sealed_tokens
     where status = 'ACTIVE' and refresh_token is not null and issuer = ? and client_id = ?
       and greatest(access_token_expires_at, retry_at) < (select clock_timestamp() + ? * interval '1 second')
       and (retry_at is null or retry_at <= clock_timestamp())
       and (lease_id is null or (lease_expires_at <= clock_timestamp() and not refresh_token_rotates))
       and key_id = any(string_to_array(?, ' '))
     order by greatest(access_token_expires_at, retry_at) limit ?`,
    [issuer, clientId, withinSeconds, kids.join(' '), limit],
  );
  return rows.map(({ accountId }) => accountId);
}
