import type { SqlEntityManager } from '@mikro-orm/sql';
import { NOBODY_ELSE_PURGES } from '../purge.js';
import type { AccountsSettings } from './settings.js';

/** A stored attempt. Hashes are SHA-256 in hex. */
export interface PendingLinkRecord {
  readonly stateHash: string;
  readonly linkTokenHash: string;
  readonly nonceHash: string;
  readonly redirectUri: string;
  /** The user who began; null for an anonymous caller. */
  readonly userId: string | null;
  /** SHA-256 of the address that it was begun from, hex. */
  readonly addressHash: string;
}

/** What completes an attempt. */
type ConsumedLink = Pick<PendingLinkRecord, 'nonceHash' | 'redirectUri' | 'userId'>;

/** Open attempts of one user at most; the oldest are deleted. */
const ATTEMPTS_PER_USER = 20;
/** What one request deletes at most: what was there before the limit goes step by step. */
const MAX_DELETED = 100;

/**
 * Stores an attempt, and deletes the oldest that exceed the limit of their user or of their address. Returns when it
 * expires, by the clock of the database, which all servers share.
 */
export async function insertPendingLink(
  em: SqlEntityManager,
  attempt: PendingLinkRecord,
  { linkTtlSeconds, openLinksPerAddress }: Pick<AccountsSettings, 'linkTtlSeconds' | 'openLinksPerAddress'>,
): Promise<Date> {
  const { stateHash, linkTokenHash, nonceHash, redirectUri, userId, addressHash } = attempt;
  const [stored] = await em.execute<{ expiresAtMs: string }[]>(
    `insert into pending_link (state_hash, link_token_hash, nonce_hash, redirect_uri, user_id, address_hash, expires_at)
     values (?, ?, ?, ?, ?, ?, clock_timestamp() + interval '1 second' * ?)
     returning (extract(epoch from expires_at) * 1000)::text as "expiresAtMs"`,
    [stateHash, linkTokenHash, nonceHash, redirectUri, userId, addressHash, linkTtlSeconds],
  );
  await deleteOldest(em, 'address_hash', addressHash, openLinksPerAddress);
  if (userId !== null) await deleteOldest(em, 'user_id', userId, ATTEMPTS_PER_USER);
  return new Date(Number(stored?.expiresAtMs));
}

/** Rows that another transaction holds are skipped: waiting for them could deadlock. */
async function deleteOldest(
  em: SqlEntityManager,
  column: 'address_hash' | 'user_id',
  value: string,
  kept: number,
): Promise<void> {
  await em.execute(
    `delete from pending_link where state_hash = any(array(
       select state_hash from pending_link where state_hash = any(array(
         select state_hash from pending_link where ${column} = ? order by expires_at desc offset ? limit ?))
       for update skip locked))`,
    [value, kept, MAX_DELETED],
  );
}

/**
 * Deletes up to `limit` attempts that ended an hour ago by the clock of the database: no server takes them for open ones.
 * Resolves with how many; 0 also while another process does it.
 */
export async function deleteExpiredLinks(em: SqlEntityManager, limit: number): Promise<number> {
  const result = await em.execute<{ affectedRows: number }>(
    `delete from pending_link where state_hash = any(array(
       select state_hash from pending_link
       where expires_at <= (select clock_timestamp() - interval '1 hour') and ${NOBODY_ELSE_PURGES}
       order by expires_at limit ? for update skip locked))`,
    [limit],
    'run',
  );
  return result.affectedRows;
}

/**
 * Deletes and returns an attempt that has not expired by the clock of the database. One statement, which commits by itself:
 * of concurrent completions exactly one gets the attempt, and nothing is held while its code is exchanged.
 *
 * It needs the link token and, for an attempt that a user began, that user; no other caller can consume it.
 */
export async function consumePendingLink(
  em: SqlEntityManager,
  by: { stateHash: string; linkTokenHash: string; userId: string | undefined },
): Promise<ConsumedLink | undefined> {
  const rows: ConsumedLink[] = await em.execute(
    `delete from pending_link
     where state_hash = ? and link_token_hash = ? and (user_id is null or user_id = ?)
       and expires_at > clock_timestamp()
     returning nonce_hash as "nonceHash", redirect_uri as "redirectUri", user_id as "userId"`,
    [by.stateHash, by.linkTokenHash, by.userId ?? null],
  );
  return rows[0];
}
