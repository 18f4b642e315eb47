import { MikroORM, type Options } from '@mikro-orm/core';
import { PgliteDriver } from '@mikro-orm/pglite';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { connectionOptions } from './connection-options.js';
import { claimDataDirectory, embeddedPath } from './data-directory.js';
import { entities } from './entities.js';
import { migrate, MIGRATION_TABLE, migrationsList, readMigrations } from './migrate.js';
import { isGivenUp } from './outage.js';
import { HealingPostgresDriver } from './postgres-driver.js';
import { isWritable, readClock } from './server-facts.js';
import type { DatabaseSettings } from './settings.js';
import { awaitDatabase, type OnWait } from './startup.js';
import { transactions, type Turns } from './transaction.js';

/** The facade of the room. Always `em.fork()` for one unit of work. See `transactions` for those that lock rows. */
export interface Database extends Turns {
  readonly em: SqlEntityManager;
  /** Applies what is missing; safe when several processes call it at once. See `migrate`. */
  migrate(): Promise<readonly string[]>;
  /** True when it takes writes and no migration is missing; never throws. */
  isReady(): Promise<boolean>;
  /** Its clock, in milliseconds since the epoch. */
  readClock(): Promise<number>;
  close(): Promise<void>;
}

/** Receives every statement, with placeholders instead of values. */
export type OnStatement = (sql: string) => void;

/** Options shared by the server and by the MikroORM command line (`mikro-orm.config.ts`). */
export function ormOptions(settings: DatabaseSettings, onStatement?: OnStatement): Partial<Options> {
  return {
    ...(onStatement && {
      onQuery: (sql: string) => {
        onStatement(sql);
        return sql;
      },
    }),
    ...(settings.url === undefined ? pgliteOptions(settings.dataDir) : postgresOptions(settings)),
    entities,
    // MikroORM would create a database that does not exist: the one of a misspelt name.
    ensureDatabase: false,
    migrations: {
      migrationsList,
      path: 'src/database/migrations',
      tableName: MIGRATION_TABLE,
      snapshot: false,
    },
    // Messages of the driver quote values. What goes wrong is logged once, at the edge, without them.
    logger: () => undefined,
    colors: false,
  };
}

function pgliteOptions(dataDir: string): object {
  return { driver: PgliteDriver, dbName: embeddedPath(dataDir) };
}

function postgresOptions({ url = '', poolMax, timeoutMs, statementTimeoutMs }: DatabaseSettings): object {
  const { driverOptions, ...connection } = connectionOptions(url);
  return {
    driver: HealingPostgresDriver,
    ...connection,
    pool: { min: 0, max: poolMax },
    driverOptions: {
      connectionTimeoutMillis: timeoutMs,
      statementTimeoutMs: statementTimeoutMs ?? timeoutMs,
      ...driverOptions,
    },
  };
}

/**
 * Opens the database. Throws `StartupError` when another process holds the data directory, and what `awaitDatabase`
 * throws.
 */
export async function openDatabase(
  settings: DatabaseSettings,
  onStatement?: OnStatement,
  onWait?: OnWait,
): Promise<Database> {
  const { url, dataDir, isDataDirClaimed = url !== undefined } = settings;
  const release = isDataDirClaimed ? () => undefined : await claimDataDirectory(dataDir);
  let orm: MikroORM | undefined;
  const close = async (): Promise<void> => {
    await orm?.close(true);
    release();
  };
  try {
    orm = await MikroORM.init(ormOptions(settings, onStatement));
    const em = orm.em as SqlEntityManager;
    await awaitDatabase(em.fork(), onWait);
    return {
      em,
      ...transactions(em, settings.timeoutMs),
      migrate: async () => ((await isMigrated(em.fork())) ? [] : migrateSlowly(settings, em, onWait)),
      isReady: () => checkReadiness(em.fork()),
      readClock: () => readClock(em.fork()),
      close,
    };
  } catch (cause) {
    await close();
    throw cause;
  }
}

/** Whether no migration is missing; false when a pooler without a free connection does not say. */
async function isMigrated(em: SqlEntityManager): Promise<boolean> {
  try {
    return (await readMigrations(em)).pending.length === 0;
  } catch (error) {
    if (isGivenUp(error)) return false;
    throw error;
  }
}

/** Migrates on a connection whose statements have no limit. The embedded database is a single one, without limits. */
async function migrateSlowly(
  settings: DatabaseSettings,
  em: SqlEntityManager,
  onWait?: OnWait,
): Promise<string[]> {
  if (settings.url === undefined) return migrate(em, onWait);
  const orm = await MikroORM.init(ormOptions({ ...settings, poolMax: 1, statementTimeoutMs: 0 }));
  try {
    return await migrate(orm.em as SqlEntityManager, onWait);
  } finally {
    await orm.close(true);
  }
}

async function checkReadiness(em: SqlEntityManager): Promise<boolean> {
  try {
    return (await isWritable(em)) && (await isMigrated(em));
  } catch {
    return false;
  }
}
