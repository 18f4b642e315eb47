import type { SqlEntityManager } from '@mikro-orm/sql';
import type { WrappedKey } from './data-key.js';

/** An account and its data key, as it is stored. */
export interface AccountKey extends WrappedKey {
  readonly accountId: string;
}

/** The data key of an account, as it was read and as it is to be. */
export type DataKeyChange = readonly [accountId: string, read: string, rewrapped: string];

/** Sorts before every account id (RFC 9562 §5.9). */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/**
 * Up to `limit` accounts after `afterId` whose data keys `kid` wraps, in the order of their ids: the order of the index,
 * whatever the statistics say (see `isNeeded`).
 */
export function findKeysWrappedBy(
  em: SqlEntityManager,
  kid: string,
  afterId: string,
  limit: number,
): Promise<AccountKey[]> {
  return em.execute(
    `select account_id as "accountId", key_id as "keyId", data_key as "dataKey" from sealed_tokens
     where (key_id, account_id) > (?, ?) and key_id <= ? order by key_id, account_id limit ?`,
    [kid, afterId, kid, limit],
  );
}

/**
 * Puts data keys, wrapped by `kid`, in the place of those that were read, and only of those. Nothing else of a row
 * moves, so a refresh that is under way is not affected. Rows that another transaction holds are left for the next
 * time. Resolves with the number of those that changed.
 */
export async function replaceDataKeys(
  em: SqlEntityManager,
  kid: string,
  changes: readonly DataKeyChange[],
): Promise<number> {
  const result = await em.execute<{ affectedRows: number }>(
    `with replaced as (
       select t.account_id, v ->> 2 as data_key from jsonb_array_elements(?::jsonb) as v
       join sealed_tokens t on t.account_id = (v ->> 0)::uuid and t.data_key = v ->> 1
       order by t.account_id for update of t skip locked)
     update sealed_tokens t set key_id = ?, data_key = replaced.data_key
     from replaced where t.account_id = replaced.account_id`,
    [JSON.stringify(changes), kid],
    'run',
  );
  return result.affectedRows;
}
