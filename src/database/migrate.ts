import { setTimeout as delay } from 'node:timers/promises';
import type { Migration } from '@mikro-orm/migrations';
import { IsolationLevel } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import { InitialMigration } from './migrations/migration20261123000000-initial.js';
import { ConsentMigration } from './migrations/migration20261124000000-consent.js';
import { PendingLinkUserMigration } from './migrations/migration20261124120000-pending-link-user.js';
import { DataKeysMigration } from './migrations/migration20261126000000-data-keys.js';
import { LargeTablesMigration } from './migrations/migration20261127000000-large-tables.js';
import { AnswersInHandMigration } from './migrations/migration20261128000000-answers-in-hand.js';
import { isGivenUp, sqlStateOf } from './outage.js';
import type { OnWait } from './startup.js';

/** In the order in which they are applied. */
export const migrationsList = [
  { name: 'migration20261123000000-initial', class: InitialMigration },
  { name: 'migration20261124000000-consent', class: ConsentMigration },
  { name: 'migration20261124120000-pending-link-user', class: PendingLinkUserMigration },
  { name: 'migration20261126000000-data-keys', class: DataKeysMigration },
  { name: 'migration20261127000000-large-tables', class: LargeTablesMigration },
  { name: 'migration20261128000000-answers-in-hand', class: AnswersInHandMigration },
];

/** The table in which MikroORM notes what was applied. */
export const MIGRATION_TABLE = 'migration';

/** Any number that every version of this program shares; it names the advisory lock around migrations. */
export const MIGRATION_LOCK = 7_655_871;
const POLL_MS = 100;
/** How long one statement may wait for a lock: what comes after it in the queue waits as long. */
const LOCK_TIMEOUT_MS = '2000';
/** How long the migration of another process is awaited, or a lock that others hold. */
const PATIENCE_MS = 10 * 60_000;

/** The migrations that are missing, and those that this version does not know, by name. */
export async function readMigrations(em: SqlEntityManager) {
  const known = migrationsList.map(({ name }) => name);
  const [table] = await em.execute<{ exists: boolean }[]>('select to_regclass(?) is not null as exists', [
    MIGRATION_TABLE,
  ]);
  const applied = table?.exists ? await readApplied(em) : [];
  return {
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

/**
 * Applies what is missing, one process at a time; resolves with the names. All of it is one transaction, which also
 * holds the lock: nothing needs a session or a second connection, so a pooler in transaction mode works, and what fails
 * leaves nothing behind.
 *
 * @param em whose statements may take as long as they need.
 * Throws `StartupError` when another process migrates, or holds what is to be changed, for ten minutes.
 */
export async function migrate(em: SqlEntityManager, onWait: OnWait = () => undefined): Promise<string[]> {
  const until = performance.now() + PATIENCE_MS;
  for (let tries = 1; ; tries += 1) {
    const result = await tryMigrate(em.fork()).catch((error: unknown) => {
      // All of it was rolled back. A deadlock may be found before the time for a lock is over.
      if (/^(55P03|40P01)$/.test(sqlStateOf(error))) return LOCKED;
      if (isGivenUp(error)) return BUSY;
      throw error;
    });
    if (typeof result !== 'string') return result;
    if (tries === 1) onWait(result);
    if (performance.now() > until) throw new StartupError(`Migrations are missing, and ${result}.`);
    await delay(POLL_MS);
  }
}

const BUSY = 'another process migrates';
const LOCKED = 'other transactions hold what they change (see pg_stat_activity)';

/** Resolves with the names of what was applied, or with why nothing was. */
function tryMigrate(em: SqlEntityManager): Promise<string[] | typeof BUSY> {
  return em.transactional(
    async (tx) => {
      // What a role or a database sets is meant for other statements.
      await tx.execute(
        `select set_config('lock_timeout', ?, true), set_config('statement_timeout', '0', true),
           set_config('idle_in_transaction_session_timeout', '0', true)`,
        [LOCK_TIMEOUT_MS],
      );
      const [row] = await tx.execute<{ locked: boolean }[]>('select pg_try_advisory_xact_lock(?) as locked', [
        MIGRATION_LOCK,
      ]);
      return row?.locked ? applyMissing(tx) : BUSY;
    },
    { isolationLevel: IsolationLevel.READ_COMMITTED },
  );
}

async function applyMissing(tx: SqlEntityManager): Promise<string[]> {
  await tx.execute(`create table if not exists ${MIGRATION_TABLE} (
    id serial primary key, name varchar(255) not null, executed_at timestamptz not null default current_timestamp)`);
  const applied = await readApplied(tx);
  const missing = migrationsList.filter(({ name }) => !applied.includes(name));
  for (const { name, class: MigrationClass } of missing) {
    const migration: Migration = new MigrationClass(tx.getDriver(), tx.config);
    migration.setTransactionContext(tx.getTransactionContext());
    await migration.up();
    for (const sql of migration.getQueries()) await tx.execute(sql);
    await tx.execute(`insert into ${MIGRATION_TABLE} (name) values (?)`, [name]);
  }
  return missing.map(({ name }) => name);
}

async function readApplied(em: SqlEntityManager): Promise<string[]> {
  const rows = await em.execute<{ name: string }[]>(`select name from ${MIGRATION_TABLE}`);
  return rows.map(({ name }) => name);
}
