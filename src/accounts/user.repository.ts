import type { SqlEntityManager } from '@mikro-orm/sql';
import { fromIdentities } from './account.repository.js';

/** A user as a plain value, detached from the unit of work. */
export interface UserRecord {
  readonly id: string;
  readonly name: string | null;
  readonly picture: string | null;
  readonly email: string | null;
  readonly createdAt: Date;
}

/** Users by their identities at one issuer, in one statement. Unlinked ones are left out. */
export async function findUsersBySub(
  em: SqlEntityManager,
  issuer: string,
  subs: readonly string[],
): Promise<(UserRecord & { readonly sub: string })[]> {
  const rows: (Omit<UserRecord, 'createdAt'> & { sub: string; createdMs: string })[] = await em.execute(
    `select a.sub, u.id, u.name, u.picture, u.email, (extract(epoch from u.created_at) * 1000)::text as "createdMs"
     ${fromIdentities(subs, 'sub, user_id')}
     cross join lateral (select * from app_user where id = a.user_id limit 1) u`,
    [...subs, issuer],
  );
  return rows.map(({ sub, id, name, picture, email, createdMs }) => {
    return { sub, id, name, picture, email, createdAt: new Date(Number(createdMs)) };
  });
}

/** Locks a user's row until the transaction ends; always after the account's. False when it is gone. */
export async function lockUser(tx: SqlEntityManager, userId: string): Promise<boolean> {
  return (await tx.execute('select id from app_user where id = ? for update', [userId])).length > 0;
}

/** Deletes a user without linked identities. */
export async function deleteUnreachableUser(tx: SqlEntityManager, userId: string): Promise<void> {
  await tx.execute(
    'delete from app_user u where u.id = ? and not exists (select 1 from rollup_account a where a.user_id = u.id)',
    [userId],
  );
}
