import { setTimeout as delay } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { InitialMigration } from './migrations/migration20261123000000-initial.js';
import { ConsentMigration } from './migrations/migration20261124000000-consent.js';
import { PendingLinkUserMigration } from './migrations/migration20261124120000-pending-link-user.js';
import { DataKeysMigration } from './migrations/migration20261126000000-data-keys.js';

/** In the order in which they are applied. */
export const migrationsList = [
  { name: 'migration20261123000000-initial', class: InitialMigration },
  { name: 'migration20261124000000-consent', class: ConsentMigration },
  { name: 'migration20261124120000-pending-link-user', class: PendingLinkUserMigration },
  { name: 'migration20261126000000-data-keys', class: DataKeysMigration },
];

/** The table in which MikroORM notes what was applied. */
export const MIGRATION_TABLE = 'migration';

/** Any number that every version of this program shares; it names the advisory lock around migrations. */
export const MIGRATION_LOCK = 7_655_871;
const LOCK_POLL_MS = 100;

/**
 * Applies what is missing, one process at a time; resolves with the names. The embedded database is one
 * connection in one process and needs no lock.
 */
export async function migrate(orm: MikroORM, isServer: boolean): Promise<string[]> {
  const up = async (): Promise<string[]> => (await orm.migrator.up()).map(({ name }) => name);
  return isServer ? withLock(orm.em.fork() as SqlEntityManager, up) : up();
}

/**
 * The lock belongs to a transaction of its own: it needs no session, so a pooler in transaction mode works. It is
 * polled: a statement that waits for it would fail after `DATABASE_TIMEOUT_MS`.
 */
async function withLock(em: SqlEntityManager, up: () => Promise<string[]>): Promise<string[]> {
  for (;;) {
    const applied = await em.transactional(async (tx) => {
      const [row] = await tx.execute<{ locked: boolean }[]>('select pg_try_advisory_xact_lock(?) as locked', [
        MIGRATION_LOCK,
      ]);
      return row?.locked ? up() : undefined;
    });
    if (applied) return applied;
    await delay(LOCK_POLL_MS);
  }
}
