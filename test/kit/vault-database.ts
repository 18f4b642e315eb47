import type { SqlEntityManager } from '@mikro-orm/sql';
import { openDatabase } from '../../src/database/orm.js';
import { useStarted } from './hooks.js';
import { createTestDatabase } from './test-database.js';
import { insertKeys } from './token-rows.js';

/**
 * A database whose clock is this far ahead of the tests': what is judged by the clock of a process, or by the start of
 * a transaction, is judged wrongly.
 */
export const DATABASE_AHEAD_MS = 1_000 * 3_600_000;

/** The stored tokens alone: no accounts. */
export interface VaultDatabase {
  /** A new unit of work. */
  em(): SqlEntityManager;
  close(): Promise<void>;
}

let shared: Promise<VaultDatabase> | undefined;
afterAll(async () => (await shared)?.close());

/** The table of the stored tokens, which is emptied before each test. The blocks of one file share it. */
export function useVaultDatabase(): VaultDatabase {
  const database = useStarted(async () => ({
    ...(await (shared ??= startVaultDatabase())),
    close: async () => undefined,
  }));
  beforeEach(() => database.em().execute('delete from sealed_tokens'));
  return database;
}

const SEARCH_PATH = 'ahead,public,pg_catalog';

async function startVaultDatabase(): Promise<VaultDatabase> {
  const created = await createTestDatabase();
  const { settings } = created;
  const url = settings.url === undefined ? undefined : withSearchPath(settings.url);
  const database = await openDatabase({ ...settings, url, poolMax: 2, timeoutMs: 5_000 });
  const em = (): SqlEntityManager => database.em.fork();
  await em().execute('alter table sealed_tokens drop constraint sealed_tokens_account_id_fkey');
  await insertKeys(em());
  await em().execute('create schema ahead');
  await em().execute(`create function ahead.clock_timestamp() returns timestamptz language sql volatile
    as $$ select pg_catalog.clock_timestamp() + interval '1 millisecond' * ${DATABASE_AHEAD_MS} $$`);
  for (const column of ['created_at', 'retry_at']) {
    await em().execute(
      `alter table pending_revocation alter column ${column} set default ahead.clock_timestamp()`,
    );
  }
  // The embedded database has this one session.
  await em().execute(`set search_path = ${SEARCH_PATH}`);
  return {
    em,
    close: async () => {
      await database.close();
      await created.close();
    },
  };
}

/** Every session of the pool looks for functions in this order. */
function withSearchPath(server: string): string {
  // Not as `URLSearchParams`, which writes + for a space: in this URL + is +.
  return `${server}?options=${encodeURIComponent(`-c search_path=${SEARCH_PATH}`)}`;
}
