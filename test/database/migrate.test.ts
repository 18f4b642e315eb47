import { MikroORM } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import type { SqlEntityManager, SqlMikroORM } from '@mikro-orm/sql';
import { MIGRATION_LOCK, migrationsList } from '../../src/database/migrate.js';
import { openDatabase, ormOptions } from '../../src/database/orm.js';
import { waitUntil } from '../kit/eventually.js';
import { useDirectory } from '../kit/hooks.js';
import { needs, onPostgres } from '../kit/needs.js';
import { runProgram } from '../kit/processes.js';
import { startDatabaseProxy } from '../kit/tcp-proxy.js';
import { createEmptyDatabase, type TestDatabase } from '../kit/test-database.js';

const STATEMENT_TIMEOUT_MS = 1_000;
const TABLES = `select tablename from pg_tables where schemaname = 'public'`;

onPostgres('migrations on a server', () => {
  let database: TestDatabase;
  let url: string;
  beforeEach(async () => {
    database = await createEmptyDatabase();
    url = database.env.DATABASE_URL ?? '';
  });
  afterEach(() => database.close());

  test('HTP-25 four processes migrate concurrently: exactly one applies, none fails', async () => {
    const runs = [1, 2, 3, 4].map(() => runProgram(['migrate'], { DATABASE_URL: url }));
    expect(await Promise.all(runs.map(({ exited }) => exited))).toEqual([0, 0, 0, 0]);
    expect(runs.filter((run) => run.output().startsWith('applied'))).toHaveLength(1);
  });

  test('HTP-25 VLT-65 a migration of another process may take longer than a statement may', async () => {
    const { opened, other, waits } = await openTwice();
    await other.begin();
    await other.execute(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    const waiting = opened.migrate();
    await waitUntil(() => waits.length > 0);
    await other.rollback();
    expect(await waiting).not.toHaveLength(0);
    expect(waits).toEqual(['another process migrates']);
    await opened.close();
  });

  test('VLT-65 a migration waits for the locks of others, lets them through meanwhile, and outlasts the limit of a statement', async () => {
    await migrateTo('migration20261126000000-data-keys');
    const { opened, other, waits } = await openTwice();
    await other.begin();
    await other.execute('select from pending_link');
    const waiting = opened.migrate();
    await waitUntil(() => waits.length > 0);
    await other.rollback();
    expect(await waiting).toEqual([
      'migration20261127000000-large-tables',
      'migration20261128000000-answers-in-hand',
    ]);
    expect(waits).toEqual([expect.stringContaining('other transactions hold')]);
    await opened.close();
  });

  test('VLT-65 what fails leaves nothing behind, and is applied by the next one', async () => {
    const { opened, other } = await openTwice();
    await other.execute('create table galaxy_slot ()');
    await expect(opened.migrate()).rejects.toThrow('already exists');
    expect(await other.execute(TABLES)).toEqual([{ tablename: 'galaxy_slot' }]);
    await other.execute('drop table galaxy_slot');
    expect(await opened.migrate()).toHaveLength(migrationsList.length);
    await opened.close();
  });

  /** A database with a short limit for a statement, what it waits for, and a session beside it. */
  async function openTwice() {
    const settings = { ...database.settings, poolMax: 2, timeoutMs: STATEMENT_TIMEOUT_MS };
    const waits: string[] = [];
    const opened = await openDatabase(settings, undefined, (reason) => waits.push(reason));
    const beside = await openDatabase(settings);
    const close = async (): Promise<void> => {
      await opened.close();
      await beside.close();
    };
    return { opened: { ...opened, close }, other: beside.em.fork(), waits };
  }

  async function migrateTo(name: string): Promise<void> {
    const options = ormOptions({ ...database.settings, poolMax: 2, timeoutMs: 5_000 });
    const orm = await MikroORM.init({ ...options, extensions: [Migrator] });
    await orm.migrator.up({ to: name });
    await orm.close(true);
  }

  test('HTP-25 the command waits for a database that starts later', async () => {
    const { proxy, url: throughProxy } = await startDatabaseProxy(url);
    proxy.mode = 'refuse';
    const run = runProgram(['migrate'], { DATABASE_URL: throughProxy });
    while (proxy.refused === 0) await new Promise((resolve) => setImmediate(resolve));
    proxy.mode = 'pass';
    expect(await run.exited).toBe(0);
    await proxy.close();
  });
});

needs('embedded')('migrations on the embedded database', () => {
  const dataDir = useDirectory();

  test('HTP-25 four processes migrate concurrently: one applies, the others exit with the reason', async () => {
    const runs = [1, 2, 3, 4].map(() => runProgram(['migrate'], { DATA_DIR: dataDir }));
    const codes = await Promise.all(runs.map(({ exited }) => exited));
    expect(codes.map(String).toSorted()).toEqual(['0', '1', '1', '1']);
    for (const run of runs.filter((_, index) => codes[index] === 1)) {
      expect(run.output()).toContain('Another process uses DATA_DIR');
    }
    const again = runProgram(['migrate'], { DATA_DIR: dataDir });
    expect(await again.exited).toBe(0);
    expect(again.output()).toBe(`the embedded database in ${dataDir} is up to date\n`);
  });
});

test('the migrations create the tables that the entities describe', async () => {
  const database = await createEmptyDatabase();
  const settings = { ...database.settings, poolMax: 2, timeoutMs: 5_000 };
  const opened = await openDatabase(settings);
  await opened.migrate();
  await opened.close();
  const orm = await MikroORM.init(ormOptions(settings));
  const difference = await (orm as SqlMikroORM).schema.getUpdateSchemaSQL({ wrap: false });
  await orm.close(true);
  await database.close();
  // The vault does not depend on accounts, so its foreign key is in the migration and in no entity.
  expect(difference.trim()).toBe(
    'alter table "sealed_tokens" drop constraint "sealed_tokens_account_id_fkey";',
  );
});

const fresh = useDirectory();

test('VLT-12 tokens of an earlier development version are told in one sentence, and stay as they are', async () => {
  const database = await createEmptyDatabase();
  const { DATABASE_URL } = database.env;
  const env = { DATA_DIR: fresh, ...(DATABASE_URL !== undefined && { DATABASE_URL }) };
  const settings = { url: DATABASE_URL, dataDir: fresh, poolMax: 2, timeoutMs: 5_000 };
  const orm = await MikroORM.init({ ...ormOptions(settings), extensions: [Migrator] });
  const em = orm.em.fork() as SqlEntityManager;
  await orm.migrator.up({ to: 'migration20261124120000-pending-link-user' });
  await em.execute(`insert into app_user (id) values (gen_random_uuid())`);
  await em.execute(
    `insert into rollup_account (id, user_id, issuer, sub) select gen_random_uuid(), id, 'issuer', 'sub' from app_user`,
  );
  await em.execute(
    `insert into sealed_tokens (account_id, status, scope, access_token, key_ids, access_token_expires_at, generation)
     select id, 'ACTIVE', 'openid', 'sealed', 'k1', clock_timestamp(), 1 from rollup_account`,
  );
  const readRows = `select * from sealed_tokens`;
  const before = await em.execute(readRows);
  await orm.close(true);
  const run = runProgram(['migrate'], env);
  expect(await run.exited).toBe(1);
  expect(run.output().split('\n')[0]).toMatch(
    /^rollup-accounts: This database holds tokens that an earlier .+ link again; nothing was changed\.$/,
  );
  expect(run.output().trim()).not.toContain('\n');
  const after = await MikroORM.init(ormOptions(settings));
  expect(await (after.em.fork() as SqlEntityManager).execute(readRows)).toEqual(before);
  await after.close(true);
  await database.close();
});

test('HTP-25 a database that never starts ends the command with a clear message', async () => {
  const run = runProgram(['migrate'], { DATABASE_URL: 'postgresql://nobody:hunter2secret@127.0.0.1:1/none' });
  expect(await run.exited).toBe(1);
  expect(run.output()).toContain('The database of DATABASE_URL cannot be reached.');
  expect(run.output()).not.toContain('hunter2secret');
});
