import { setTimeout as delay } from 'node:timers/promises';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { SingleFlight } from './single-flight.js';

/** Deletes up to `limit` rows that nobody needs any more, in one statement. Resolves with how many. */
export type Purge = (em: SqlEntityManager, limit: number) => Promise<number>;

/**
 * A condition of a statement that purges: false, before it reads anything, while another process does the same. The lock
 * ends with the statement, so a pooler in transaction mode works.
 */
export const NOBODY_ELSE_PURGES = '(select pg_try_advisory_xact_lock(7655872))';

/** What purging depends on. `em` is forked for every statement. */
export interface PurgeDeps {
  readonly em: SqlEntityManager;
  readonly purges: readonly Purge[];
  /** Called when the database failed; the next round tries again. */
  readonly onError: (error: unknown) => void;
}

const BATCH = 500;
const BATCH_DELAY_MS = 50;
const INTERVAL_MS = 60_000;

/**
 * Purges in the background: at once, and then every minute, in small batches that other statements come between.
 * Returns the function that stops it and waits for the batch in flight.
 */
export function startPurging({ em, purges, onError }: PurgeDeps): () => Promise<void> {
  const rounds = new SingleFlight<void>();
  const stopped = new AbortController();
  const purgeAll = async (): Promise<void> => {
    for (const purge of purges) {
      while (!stopped.signal.aborted && (await purge(em.fork(), BATCH)) === BATCH) {
        await delay(BATCH_DELAY_MS);
      }
    }
  };
  const run = (): void => void rounds.run('round', () => purgeAll().catch(onError));
  const timer = setInterval(run, INTERVAL_MS);
  run();
  return async () => {
    stopped.abort();
    clearInterval(timer);
    await rounds.drain();
  };
}
