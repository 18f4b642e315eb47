import { IsolationLevel } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { changesRows, countByIndex } from './sealed-tokens.repository.js';

/** A key that a ring has or had. */
export interface TokenKeyRecord {
  readonly kid: string;
  readonly checkValue: string;
  readonly retired: boolean;
  readonly givenUp: boolean;
}

/** All of them, the oldest first: a few. */
export function findTokenKeys(em: SqlEntityManager): Promise<TokenKeyRecord[]> {
  return em.execute(
    `select kid, check_value as "checkValue", retired_at is not null as retired, given_up_at is not null as "givenUp"
     from token_key order by created_at, kid`,
  );
}

/** Adds a key unless its `kid` is known; then compare what is known. */
export async function insertTokenKey(em: SqlEntityManager, kid: string, checkValue: string): Promise<void> {
  await em.execute('insert into token_key (kid, check_value) values (?, ?) on conflict (kid) do nothing', [
    kid,
    checkValue,
  ]);
}

/** Whether the database knows the key with this check value. */
export async function isKnownKey(em: SqlEntityManager, kid: string, checkValue: string): Promise<boolean> {
  const rows = await em.execute('select from token_key where kid = ? and check_value = ?', [kid, checkValue]);
  return rows.length > 0;
}

/**
 * Whether accounts need the key, or refresh tokens that are to be revoked. A range in the order of the index, and no `=`:
 * statistics from before a rotation would have PostgreSQL read the whole table for a row that is not there.
 */
export async function isNeeded(em: SqlEntityManager, kid: string): Promise<boolean> {
  // One statement: an unlink moves a data key from one table to the other.
  const rows = await em.execute(
    `(select from sealed_tokens where key_id between ? and ? order by key_id, account_id limit 1)
     union all (select from pending_revocation where key_id between ? and ? order by key_id, id limit 1)`,
    [kid, kid, kid, kid],
  );
  return rows.length > 0;
}

/** How many accounts need the key, from the index alone. */
export function countAccounts(em: SqlEntityManager, kid: string): Promise<number> {
  return countByIndex(em, 'select count(*)::int as accounts from sealed_tokens where key_id = ?', [kid]);
}

/** Marks a key as one that no row needs. False when rows need it. */
export function markRetired(em: SqlEntityManager, kid: string): Promise<boolean> {
  const retire = async (tx: SqlEntityManager): Promise<boolean> => {
    // Waits for links that are being stored with it: a foreign key holds the row that it refers to.
    await tx.execute('select from token_key where kid = ? for update', [kid]);
    if (await isNeeded(tx, kid)) return false;
    return changesRows(
      tx,
      `update token_key set retired_at = coalesce(retired_at, clock_timestamp())
       where kid = ?`,
      [kid],
    );
  };
  // By then it has to see them, whatever the database sets.
  return em.transactional(retire, { isolationLevel: IsolationLevel.READ_COMMITTED });
}

/** Takes the mark back. */
export async function unmarkRetired(em: SqlEntityManager, kid: string): Promise<void> {
  await em.execute('update token_key set retired_at = null where kid = ?', [kid]);
}

/** Marks a key as lost. From now on a server starts without it. */
export async function markGivenUp(em: SqlEntityManager, kid: string): Promise<void> {
  await em.execute(
    'update token_key set given_up_at = coalesce(given_up_at, clock_timestamp()) where kid = ?',
    [kid],
  );
}

/**
 * Ends up to `limit` accounts whose data keys are wrapped by a lost key, and removes what cannot be opened any more.
 * Rows that another transaction holds are left for the next time. Resolves with their number.
 */
export async function endAccountsOf(em: SqlEntityManager, kid: string, limit: number): Promise<number> {
  const result = await em.execute<{ affectedRows: number }>(
    `update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED', generation = generation + 1,
       key_id = null, data_key = null, access_token = null, id_token = null, refresh_token = null,
       pending_response = null, lease_id = null, lease_expires_at = null, retry_at = null
     where account_id = any(array(
       select account_id from sealed_tokens where key_id between ? and ? order by key_id, account_id limit ?
       for update skip locked))`,
    [kid, kid, limit],
    'run',
  );
  return result.affectedRows;
}
