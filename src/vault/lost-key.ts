import type { SqlEntityManager } from '@mikro-orm/sql';
import type { Timer } from '../back-off.js';
import { endAccountsOf, isNeeded, markGivenUp } from './token-key.repository.js';

const BATCH = 500;
const LOCKED_DELAY_MS = 200;

/**
 * Gives a lost key up: servers start without it, and its accounts become `REAUTHENTICATION_REQUIRED` without
 * ciphertexts, in batches. Resolves with how many it ended.
 *
 * Each batch commits by itself, so it may be ended at any moment and run again.
 */
export async function giveUpKey(em: SqlEntityManager, kid: string, sleep: Timer['sleep']): Promise<number> {
  await markGivenUp(em.fork(), kid);
  let ended = 0;
  while (await isNeeded(em.fork(), kid)) {
    const batch = await endAccountsOf(em.fork(), kid, BATCH);
    ended += batch;
    // All that are left are held by other transactions.
    if (batch === 0) await sleep(LOCKED_DELAY_MS);
  }
  return ended;
}
