import type { SqlEntityManager } from '@mikro-orm/sql';
import { changesRows, type SealedColumns } from './sealed-tokens.repository.js';

/** The ciphertexts of an account. */
export interface SealedAccount extends SealedColumns {
  readonly accountId: string;
}

/** Sorts before every account id (RFC 9562 §5.9). */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/** Up to `limit` accounts after `afterId` whose tokens name another key than `kid`, in the order of their ids. */
export async function findSealedWithOtherKeys(
  em: SqlEntityManager,
  kid: string,
  afterId: string,
  limit: number,
): Promise<SealedAccount[]> {
  return em.execute(
    `select account_id as "accountId", access_token as "accessToken", id_token as "idToken",
       refresh_token as "refreshToken"
     from sealed_tokens where key_ids <> ? and account_id > ? order by account_id limit ?`,
    [kid, afterId, limit],
  );
}

/**
 * Puts ciphertexts in the place of those that were read, and only of those. False when the row has others by now.
 *
 * Nothing else of the row moves: a refresh that is under way finds its generation and its lease as they were.
 */
export async function replaceCiphertexts(
  em: SqlEntityManager,
  read: SealedAccount,
  sealed: SealedColumns,
  kid: string,
): Promise<boolean> {
  return changesRows(
    em,
    `update sealed_tokens set access_token = ?, id_token = ?, refresh_token = ?, key_ids = ?
     where account_id = ? and access_token = ? and id_token is not distinct from ?
       and refresh_token is not distinct from ?`,
    [
      sealed.accessToken,
      sealed.idToken,
      sealed.refreshToken,
      kid,
      read.accountId,
      read.accessToken,
      read.idToken,
      read.refreshToken,
    ],
  );
}
