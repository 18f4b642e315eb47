import type { SqlEntityManager } from '@mikro-orm/sql';
import { PendingLink } from './pending-link.entity.js';

/** A stored attempt. Hashes are SHA-256 in hex. */
export interface PendingLinkRecord {
  readonly stateHash: string;
  readonly linkTokenHash: string;
  readonly nonceHash: string;
  readonly redirectUri: string;
  /** The user who began; null for an anonymous caller. */
  readonly userId: string | null;
  readonly expiresAt: Date;
}

/** Open attempts of one user at most; the oldest are deleted. */
const ATTEMPTS_PER_USER = 20;

/** Stores an attempt, and deletes those that have expired or exceed the limit of their user. */
export async function insertPendingLink(
  em: SqlEntityManager,
  attempt: PendingLinkRecord,
  now: Date,
): Promise<void> {
  await em.insert(PendingLink, attempt);
  await deleteUnlocked(em, 'select state_hash from pending_link where expires_at <= ?', [now]);
  if (attempt.userId === null) return;
  const beyondNewest =
    'select state_hash from pending_link where user_id = ? order by expires_at desc, state_hash offset ?';
  await deleteUnlocked(em, beyondNewest, [attempt.userId, ATTEMPTS_PER_USER]);
}

/** Deletes the selected attempts. Rows that another transaction holds are skipped: waiting for them could deadlock. */
async function deleteUnlocked(
  em: SqlEntityManager,
  selection: string,
  values: readonly unknown[],
): Promise<void> {
  await em.execute(
    `delete from pending_link where state_hash in (
       select state_hash from pending_link where state_hash in (${selection}) for update skip locked)`,
    [...values],
  );
}

/**
 * Deletes and returns an attempt, atomically: of concurrent completions exactly one gets it.
 *
 * It needs the link token and, for an attempt that a user began, that user; no other caller can consume it.
 */
export async function consumePendingLink(
  em: SqlEntityManager,
  by: { stateHash: string; linkTokenHash: string; userId: string | undefined; now: Date },
): Promise<PendingLinkRecord | undefined> {
  const rows: PendingLinkRecord[] = await em.execute(
    `delete from pending_link
     where state_hash = ? and link_token_hash = ? and (user_id is null or user_id = ?) and expires_at > ?
     returning state_hash as "stateHash", link_token_hash as "linkTokenHash", nonce_hash as "nonceHash",
       redirect_uri as "redirectUri", user_id as "userId"`,
    [by.stateHash, by.linkTokenHash, by.userId ?? null, by.now],
  );
  return rows[0];
}
