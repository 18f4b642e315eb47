import type { SqlEntityManager } from '@mikro-orm/sql';
import type { PersonClaims } from '../rollup/id-token.js';
import { ACCOUNT_COLUMNS, type AccountRecord, type AccountRow, fromRow } from './account.repository.js';

/** How long an account is put off whose userinfo is being read: until then no other process reads it. */
const PUT_OFF = `interval '1 minute'`;

/**
 * Takes up to `limit` accounts of an issuer whose userinfo is due, the longest due first. Each of them goes to one of the
 * processes that take, and is due again a minute later.
 */
export async function takeUserinfoDue(
  em: SqlEntityManager,
  issuer: string,
  limit: number,
): Promise<AccountRecord[]> {
  const rows = await em.execute<AccountRow[]>(
    `update rollup_account set userinfo_due_at = clock_timestamp() + ${PUT_OFF} where id = any(array(
       select id from rollup_account
       where issuer = ? and userinfo_due_at <= (select clock_timestamp())
       order by userinfo_due_at limit ? for update skip locked))
     returning ${ACCOUNT_COLUMNS}`,
    [issuer, limit],
  );
  return rows.map(fromRow);
}

/**
 * Stores what userinfo told, so that it is no longer due; absent claims keep their stored value. Nothing happens when it is
 * due for another reason by now, or was told already: by a sign-in, by another process.
 */
export async function settleUserinfo(
  em: SqlEntityManager,
  { id, userinfoDueAt }: Pick<AccountRecord, 'id' | 'userinfoDueAt'>,
  { name, picture, email }: PersonClaims,
): Promise<void> {
  await em.execute(
    `with settled as (
       update rollup_account set userinfo_due_at = null where id = ? and userinfo_due_at = ? returning user_id)
     update app_user set name = coalesce(?, name), picture = coalesce(?, picture), email = coalesce(?, email)
     where id = (select user_id from settled)`,
    [id, userinfoDueAt, name ?? null, picture ?? null, email ?? null],
  );
}
