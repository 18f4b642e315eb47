import { IsolationLevel } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import type { InTurn, Transact } from '../transact.js';
import { KeyedQueue } from './keyed-queue.js';
import { retrySerializationFailures } from './outage.js';

/** After so long without a statement its process is frozen or gone, and its row locks are released. */
const IDLE_TIMEOUT_MS = '5000';

/** Work on rows that others may lock. */
export interface Turns {
  readonly transact: Transact;
  readonly inTurn: InTurn;
}

/**
 * Transactions of a unit of work each, with limits of their own at the server: they hold also when this process is gone.
 * One that a concurrent transaction made impossible is run again.
 *
 * @param timeoutMs how long a statement may wait for a lock, and a transaction for its turn.
 */
export function transactions(em: SqlEntityManager, timeoutMs: number): Turns {
  const queue = new KeyedQueue(timeoutMs);
  const inTransaction = <Result>(work: (tx: SqlEntityManager) => Promise<Result>): Promise<Result> =>
    retrySerializationFailures(() =>
      em.fork().transactional(
        async (tx) => {
          await tx.execute(
            `select set_config('lock_timeout', ?, true), set_config('idle_in_transaction_session_timeout', ?, true)`,
            [String(timeoutMs), IDLE_TIMEOUT_MS],
          );
          return work(tx);
        },
        { isolationLevel: IsolationLevel.READ_COMMITTED },
      ),
    );
  return {
    transact: (rows, work) => queue.run(rows, () => inTransaction(work)),
    inTurn: (rows, work) => queue.run(rows, work),
  };
}
