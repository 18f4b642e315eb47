import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '../../src/database/orm.js';
import type { DatabaseSettings } from '../../src/database/settings.js';

/** A database for a single test file. */
export interface TestDatabase {
  readonly env: { readonly DATABASE_URL?: string; readonly DATA_DIR: string };
  /** The same as settings of `openDatabase`. */
  readonly settings: Pick<DatabaseSettings, 'url' | 'dataDir'>;

  close(): Promise<void>;
}

/** Whether tests run on a PostgreSQL server. The embedded database allows a single process and connection. */
export const ON_POSTGRES = Boolean(process.env['TEST_DATABASE_URL']);

/** Where the servers of `useServers` run, for titles: the embedded database has only one. */
export const IN_EVERY_PROCESS = ON_POSTGRES ? 'in every process' : 'in the one process';

/** Selects the sessions of the current database that wait for a lock. */
export const WAITING_FOR_LOCKS = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;

/** Copies a migrated, empty embedded database into a new directory, which the caller removes. */
export function createDataDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'rollup-accounts-'));
  cpSync(process.env['EMBEDDED_TEMPLATE'] ?? '', directory, { recursive: true });
  return directory;
}

/** A directory that cannot be made: the database is on a server. */
const NOWHERE = join(devNull, 'nowhere');

/** Creates a migrated database on the server of `TEST_DATABASE_URL`, or an embedded one when that is not set. */
export async function createTestDatabase(template = process.env['SERVER_TEMPLATE']): Promise<TestDatabase> {
  const server = process.env['TEST_DATABASE_URL'];
  if (!server) {
    const directory = createDataDirectory();
    return {
      env: { DATA_DIR: directory },
      settings: { dataDir: directory },
      close: async () => rmSync(directory, { recursive: true }),
    };
  }
  const name = `rollup_accounts_test_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name} template ${template ?? 'template1'}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    env: { DATABASE_URL: url.href, DATA_DIR: NOWHERE },
    settings: { url: url.href, dataDir: NOWHERE },
    close: () => administer(server, `drop database ${name} with (force)`),
  };
}

/** Creates a database without tables on the server. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return createTestDatabase('template1');
}

async function administer(url: string, statement: string): Promise<void> {
  const database = await openDatabase({ url, dataDir: '', poolMax: 2, timeoutMs: 5_000 });
  await database.em.fork().execute(statement);
  await database.close();
}
