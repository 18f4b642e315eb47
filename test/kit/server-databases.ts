import { randomBytes } from 'node:crypto';
import { openDatabase } from '../../src/database/orm.js';

/** Databases and roles of a test on the server of `TEST_DATABASE_URL`; `close` drops them, and with them all privileges. */
export async function openServerDatabases() {
  const url = process.env['TEST_DATABASE_URL'] ?? '';
  const databases: string[] = [];
  const roles: string[] = [];
  const run = (statement: string): Promise<void> => runIn(url, statement);
  const urlOf = (name: string): string => {
    const named = new URL(url);
    named.pathname = `/${name}`;
    return named.href;
  };
  /** Resolves with the URL. @param options what follows the name in `create database`. */
  const createDatabase = async (options: string): Promise<string> => {
    const name = newName();
    await run(`create database ${name} ${options}`);
    databases.push(name);
    return urlOf(name);
  };
  return {
    url,
    runIn,
    /** The row of `pg_database`, if there is one. */
    find: (name: string): Promise<unknown[]> =>
      queryIn(url, `select datname from pg_database where datname = '${name}'`),
    /** The URL of a database that does not exist. */
    missing: (): string => {
      const name = newName();
      databases.push(name);
      return urlOf(name);
    },
    createDatabase,
    /** A migrated one, empty. */
    createMigrated: () => createDatabase(`template ${process.env['SERVER_TEMPLATE'] ?? ''}`),
    /** Resolves with the name of a role that may log in. */
    createRole: async (options = ''): Promise<string> => {
      const name = newName();
      await run(`create role ${name} login ${options}`);
      roles.push(name);
      return name;
    },
    close: async (): Promise<void> => {
      for (const name of databases) await run(`drop database if exists ${name} with (force)`);
      for (const name of roles) await run(`drop role ${name}`);
    },
  };
}

function newName(): string {
  return `rollup_accounts_test_${randomBytes(6).toString('hex')}`;
}

async function runIn(url: string, statement: string): Promise<void> {
  await queryIn(url, statement);
}

async function queryIn(url: string, statement: string): Promise<unknown[]> {
  const database = await openDatabase({ url, dataDir: '', poolMax: 2, timeoutMs: 5_000 });
  try {
    return await database.em.fork().execute(statement);
  } finally {
    await database.close();
  }
}
