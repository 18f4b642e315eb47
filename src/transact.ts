import type { SqlEntityManager } from '@mikro-orm/sql';

/**
 * Runs work in a transaction: all of it or nothing. It is run again when a concurrent transaction made it impossible.
 *
 * @param rows names the rows that it locks: what waits for the same ones is taken one after the other, and rejected with
 *   `OverloadedError` when its turn does not come in time.
 */
export type Transact = <Result>(
  rows: string,
  work: (tx: SqlEntityManager) => Promise<Result>,
) => Promise<Result>;

/**
 * Runs work that needs no transaction in the turn that `Transact` gives to the same rows. It is no part of a transaction,
 * and begins none: that would wait for its own end.
 */
export type InTurn = <Result>(rows: string, work: () => Promise<Result>) => Promise<Result>;
