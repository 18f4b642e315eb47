import { MikroORM } from '@mikro-orm/core';
import type { SqlEntityManager, SqlMikroORM } from '@mikro-orm/sql';
import { MIGRATION_LOCK } from '../../src/database/migrate.js';
import { openDatabase, ormOptions } from '../../src/database/orm.js';
import { waitUntil } from '../kit/eventually.js';
import { useDirectory } from '../kit/hooks.js';
import { needs, onPostgres } from '../kit/needs.js';
import { runProgram } from '../kit/processes.js';
import { startDatabaseProxy } from '../kit/tcp-proxy.js';
import { createEmptyDatabase, type TestDatabase } from '../kit/test-database.js';

const STATEMENT_TIMEOUT_MS = 2_000;

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

  test('HTP-25 a migration of another process may take longer than a statement may', async () => {
    const locks: string[] = [];
    const settings = { ...database.settings, poolMax: 3, timeoutMs: STATEMENT_TIMEOUT_MS };
    const opened = await openDatabase(settings, (sql) => {
      if (sql.includes('advisory')) locks.push(sql);
    });
    const migrated = await opened.em.transactional(async (other) => {
      await other.execute(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
      const waiting = opened.migrate();
      // Rejects at the first timeout if a statement waits for the lock.
      await Promise.race([waiting, waitUntil(() => locks.length > 3)]);
      return { waiting };
    });
    expect(await migrated.waiting).not.toHaveLength(0);
    await opened.close();
  });

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
  const orm = await MikroORM.init(ormOptions({ ...database.settings, poolMax: 2, timeoutMs: 5_000 }));
  await orm.migrator.up();
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
  const orm = await MikroORM.init(ormOptions(settings));
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
