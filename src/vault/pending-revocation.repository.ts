import type { SqlEntityManager } from '@mikro-orm/sql';
import type { ClientRegistration } from '../token-set.js';
import type { WrappedKey } from './data-key.js';
import { changesRows } from './sealed-tokens.repository.js';

/** A sealed refresh token, as it is or was in the row of its account, with the data key that opens it. */
export interface SealedRefreshToken extends WrappedKey {
  readonly accountId: string;
  readonly refreshToken: string;
}

/** A refresh token that waits until it is revoked. */
export interface PendingRevocationRecord extends SealedRefreshToken {
  readonly id: string;
  /** It has waited for a day: there is no attempt after this one. */
  readonly isLast: boolean;
}

const COLUMNS = 'id, account_id, issuer, client_id, key_id, data_key, refresh_token';
/** Seconds: the first back-off, which doubles, and the longest. */
const [LEAST_BACK_OFF, MOST_BACK_OFF] = [5, 3_600];

/** Adds a refresh token of this client. */
export async function insertRevocation(
  em: SqlEntityManager,
  { issuer, clientId }: ClientRegistration,
  { accountId, keyId, dataKey, refreshToken }: SealedRefreshToken,
): Promise<void> {
  await em.execute(
    `insert into pending_revocation (${COLUMNS}) values (gen_random_uuid(), ?, ?, ?, ?, ?, ?)`,
    [accountId, issuer, clientId, keyId, dataKey, refreshToken],
  );
}

/**
 * Adds the stored refresh token of an account, whose row stays locked until the transaction ends: no refresh replaces it
 * meanwhile. False when there is none of this client.
 */
export function insertStoredRevocation(
  tx: SqlEntityManager,
  { issuer, clientId }: ClientRegistration,
  accountId: string,
): Promise<boolean> {
  return changesRows(
    tx,
    `insert into pending_revocation (${COLUMNS})
     select gen_random_uuid(), account_id, issuer, client_id, key_id, data_key, refresh_token from sealed_tokens
     where account_id = ? and issuer = ? and client_id = ? and refresh_token is not null for update`,
    [accountId, issuer, clientId],
  );
}

/** The stored refresh token of an account, its row locked until the transaction ends; undefined without one of this client. */
export async function lockRefreshToken(
  tx: SqlEntityManager,
  { issuer, clientId }: ClientRegistration,
  accountId: string,
): Promise<SealedRefreshToken | undefined> {
  const [row] = await tx.execute<SealedRefreshToken[]>(
    `select account_id as "accountId", key_id as "keyId", data_key as "dataKey", refresh_token as "refreshToken"
     from sealed_tokens
     where account_id = ? and issuer = ? and client_id = ? and refresh_token is not null for update`,
    [accountId, issuer, clientId],
  );
  return row;
}

/**
 * Takes up to `limit` refresh tokens of this client that are due, those that have waited longest first. Each is put off
 * in the same statement, as if the attempt had failed: nobody else takes it meanwhile, and it comes again when this
 * process dies.
 *
 * @param leastMs longer than an attempt takes.
 */
export function takeDueRevocations(
  em: SqlEntityManager,
  { issuer, clientId }: ClientRegistration,
  leastMs: number,
  limit: number,
): Promise<PendingRevocationRecord[]> {
  return em.execute(
    `update pending_revocation set failure_count = failure_count + 1,
       retry_at = clock_timestamp() + greatest(? * interval '1 millisecond',
         least(${LEAST_BACK_OFF} * 2 ^ least(failure_count, 20), ${MOST_BACK_OFF}) * interval '1 second')
     where id = any(array(
       select id from pending_revocation
       where issuer = ? and client_id = ? and retry_at <= (select clock_timestamp())
       order by issuer, client_id, retry_at limit ? for update skip locked))
     returning id, account_id as "accountId", key_id as "keyId", data_key as "dataKey",
       refresh_token as "refreshToken", created_at < clock_timestamp() - interval '1 day' as "isLast"`,
    [leastMs, issuer, clientId, limit],
  );
}

/** Up to `limit` of them whose data keys `kid` wraps, in the order of the index (see `isNeeded`), after `afterId`. */
export function findRevocationKeys(
  em: SqlEntityManager,
  kid: string,
  afterId: string,
  limit: number,
): Promise<Omit<PendingRevocationRecord, 'refreshToken' | 'isLast'>[]> {
  return em.execute(
    `select id, account_id as "accountId", key_id as "keyId", data_key as "dataKey" from pending_revocation
     where (key_id, id) > (?, ?) and key_id <= ? order by key_id, id limit ?`,
    [kid, afterId, kid, limit],
  );
}

/** Puts a data key, wrapped anew, in the place of the one that was read. */
export async function replaceRevocationKey(
  em: SqlEntityManager,
  id: string,
  { keyId, dataKey }: WrappedKey,
): Promise<void> {
  await em.execute('update pending_revocation set key_id = ?, data_key = ? where id = ?', [
    keyId,
    dataKey,
    id,
  ]);
}

/** Removes those whose data keys a lost key wraps. */
export async function deleteRevocationsOf(em: SqlEntityManager, kid: string): Promise<void> {
  await em.execute('delete from pending_revocation where key_id between ? and ?', [kid, kid]);
}

/** Removes one that is done or given up. */
export async function deleteRevocation(em: SqlEntityManager, id: string): Promise<void> {
  await em.execute('delete from pending_revocation where id = ?', [id]);
}
