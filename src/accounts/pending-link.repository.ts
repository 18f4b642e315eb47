import type { SqlEntityManager } from '@mikro-orm/sql';
import { PendingLink } from './pending-link.entity.js';

/** An attempt as it was remembered. Hashes are SHA-256 in hex. */
export interface PendingLinkRecord {
  readonly stateHash: string;
  readonly linkTokenHash: string;
  readonly nonceHash: string;
  /** Sealed. */
  readonly codeVerifier: string;
  readonly redirectUri: string;
  /** The signed-in user who began; null when nobody was signed in. */
  readonly userId: string | null;
  readonly expiresAt: Date;
}

/** Somebody who begins over and over leaves no more than this behind. */
const ATTEMPTS_PER_USER = 20;

/** Remembers an attempt, and forgets those that have expired or are too many. */
export async function insertPendingLink(
  em: SqlEntityManager,
  attempt: PendingLinkRecord,
  now: Date,
): Promise<void> {
  await em.insert(PendingLink, attempt);
  await forget(em, 'select state_hash from pending_link where expires_at <= ?', [now]);
  if (attempt.userId === null) return;
  const beyondNewest =
    'select state_hash from pending_link where user_id = ? order by expires_at desc, state_hash offset ?';
  await forget(em, beyondNewest, [attempt.userId, ATTEMPTS_PER_USER]);
}

/**
 * Deletes the attempts that `selection` names, but for those that somebody else is taking out at this moment: callers
 * who waited for one another's rows, each in an order of its own, could wait for ever.
 */
async function forget(em: SqlEntityManager, selection: string, values: readonly unknown[]): Promise<void> {
  await em.execute(
    `delete from pending_link where state_hash in (
       select state_hash from pending_link where state_hash in (${selection}) for update skip locked)`,
    [...values],
  );
}

/**
 * Takes an attempt out, atomically and once: of any number of completions exactly one gets it.
 *
 * Only who holds the link token gets it, and of an attempt that a user began only that user; another caller
 * cannot even use it up.
 */
export async function consumePendingLink(
  em: SqlEntityManager,
  by: { stateHash: string; linkTokenHash: string; userId: string | undefined; now: Date },
): Promise<PendingLinkRecord | undefined> {
  const rows: PendingLinkRecord[] = await em.execute(
    `delete from pending_link
     where state_hash = ? and link_token_hash = ? and (user_id is null or user_id = ?) and expires_at > ?
     returning state_hash as "stateHash", link_token_hash as "linkTokenHash", nonce_hash as "nonceHash",
       code_verifier as "codeVerifier", redirect_uri as "redirectUri", user_id as "userId"`,
    [by.stateHash, by.linkTokenHash, by.userId ?? null, by.now],
  );
  return rows[0];
}
