import { randomBytes } from 'node:crypto';
import { openDatabase } from '../../src/database/orm.js';

/** Settings of a database that a test has for itself. */
export interface TestDatabase {
  readonly env: { readonly DATABASE_URL?: string; readonly DATA_DIR: string };
  /** Drops it. */
  drop(): Promise<void>;
}

/** A fresh database on the server of `TEST_DATABASE_URL`, or an embedded one in memory. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = process.env['TEST_DATABASE_URL'];
  if (!server) return { env: { DATA_DIR: 'memory://' }, drop: async () => undefined };
  const name = `rollup_accounts_test_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    env: { DATABASE_URL: url.href, DATA_DIR: 'unused' },
    drop: () => administer(server, `drop database ${name} with (force)`),
  };
}

async function administer(url: string, statement: string): Promise<void> {
  const database = await openDatabase({ url, dataDir: '', poolMax: 2, timeoutMs: 5_000 });
  await database.em.fork().execute(statement);
  await database.close();
}
