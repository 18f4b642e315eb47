import type { SqlEntityManager } from '@mikro-orm/sql';
import type { Timer } from '../back-off.js';
import { deleteRevocationsOf } from './pending-revocation.repository.js';
import { countAccounts, endAccountsOf, isNeeded, markGivenUp } from './token-key.repository.js';

const BATCH = 500;
const LOCKED_DELAY_MS = 200;
const MAX_TRIES = 100;

/**
 * Gives a lost key up: servers start without it, what it would revoke is forgotten, and its accounts become
 * `REAUTHENTICATION_REQUIRED` without ciphertexts, in batches. Resolves with how many it ended, and how many are left because other transactions have held
 * their rows for twenty seconds.
 *
 * Each batch commits by itself, so it may be ended at any moment and run again.
 */
export async function giveUpKey(
  em: SqlEntityManager,
  kid: string,
  sleep: Timer['sleep'],
): Promise<{ readonly ended: number; readonly left: number }> {
  await markGivenUp(em.fork(), kid);
  await deleteRevocationsOf(em.fork(), kid);
  let ended = 0;
  for (let tries = 0; tries < MAX_TRIES && (await isNeeded(em.fork(), kid)); tries += 1) {
    const batch = await endAccountsOf(em.fork(), kid, BATCH);
    ended += batch;
    if (batch > 0) tries = -1;
    else await sleep(LOCKED_DELAY_MS);
  }
  return { ended, left: await countAccounts(em.fork(), kid) };
}
