import { setTimeout as delay } from 'node:timers/promises';
import { MikroORM, type Options } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { PgliteDriver } from '@mikro-orm/pglite';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import { claimDataDirectory, embeddedPath } from './data-directory.js';
import { entities } from './entities.js';
import { migrate, MIGRATION_TABLE, migrationsList } from './migrate.js';
import { HealingPostgresDriver } from './postgres-driver.js';
import type { DatabaseSettings } from './settings.js';

/** The facade of the room. Always `em.fork()` for one unit of work. */
export interface Database {
  readonly em: SqlEntityManager;
  /** Applies what is missing; safe when several processes call it at once. */
  migrate(): Promise<readonly string[]>;
  /** True when it responds and no migration is missing; never throws. */
  isReady(): Promise<boolean>;
  close(): Promise<void>;
}

/** Receives every statement, with placeholders instead of values. */
export type OnStatement = (sql: string) => void;

const CONNECT_TRIES = 10;
const CONNECT_DELAY_MS = 500;

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
    extensions: [Migrator],
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

function postgresOptions({ url, poolMax, timeoutMs, statementTimeoutMs }: DatabaseSettings): object {
  return {
    driver: HealingPostgresDriver,
    clientUrl: url,
    pool: { min: 0, max: poolMax },
    driverOptions: {
      connectionTimeoutMillis: timeoutMs,
      query_timeout: statementTimeoutMs ?? timeoutMs,
      keepAlive: true,
      application_name: 'rollup-accounts',
    },
  };
}

/**
 * Opens the database. Throws `StartupError` when another process holds the data directory, when the server
 * cannot be reached within some seconds, or when it is older than PostgreSQL 15.
 */
export async function openDatabase(settings: DatabaseSettings, onStatement?: OnStatement): Promise<Database> {
  const release = lockEmbedded(settings);
  try {
    const orm = await MikroORM.init(ormOptions(settings, onStatement));
    await awaitServer(orm.em.fork() as SqlEntityManager);
    return wrap(orm, settings.url !== undefined, release);
  } catch (cause) {
    release();
    throw cause;
  }
}

function lockEmbedded({ url, dataDir }: DatabaseSettings): () => void {
  return url === undefined ? claimDataDirectory(dataDir) : () => undefined;
}

function wrap(orm: MikroORM, isServer: boolean, release: () => void): Database {
  const em = orm.em as SqlEntityManager;
  return {
    em,
    migrate: () => migrate(orm, isServer),
    isReady: async () => {
      try {
        await em.fork().execute('select 1');
        return (await orm.migrator.getPending()).length === 0;
      } catch {
        return false;
      }
    },
    close: async () => {
      await orm.close(true);
      release();
    },
  };
}

/** A database that starts beside the server is not always there first. */
async function awaitServer(em: SqlEntityManager): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      const [row] = await em.execute<{ version: number }[]>(
        "select current_setting('server_version_num')::int as version",
      );
      if ((row?.version ?? 0) >= 150_000) return;
      throw new StartupError('PostgreSQL 15 or later is needed.');
    } catch (cause) {
      if (cause instanceof StartupError) throw cause;
      if (tries >= CONNECT_TRIES) {
        throw new StartupError('The database of DATABASE_URL cannot be reached.', { cause });
      }
      await delay(CONNECT_DELAY_MS);
    }
  }
}
