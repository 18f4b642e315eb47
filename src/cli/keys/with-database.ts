import type { SqlEntityManager } from '@mikro-orm/sql';
import { readMigrations } from '../../database/migrate.js';
import { openDatabase } from '../../database/orm.js';
import type { DatabaseSettings } from '../../database/settings.js';
import { StartupError } from '../../errors.js';
import { findTokenKeys, type TokenKeyRecord } from '../../vault/token-key.repository.js';

/** Counting ten million accounts takes longer than a request may; a locked table takes for ever. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** Runs the work of a command on a migrated database. Throws `StartupError` when it is not. */
export async function withDatabase<Result>(
  settings: DatabaseSettings,
  work: (em: SqlEntityManager) => Promise<Result>,
): Promise<Result> {
  const database = await openDatabase({ ...settings, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  try {
    const { pending } = await readMigrations(database.em.fork());
    if (pending.length > 0) {
      throw new StartupError('The database is not migrated. Run migrate first.');
    }
    return await work(database.em);
  } finally {
    await database.close();
  }
}

/** What the database knows of a key. Throws `StartupError` when it knows none by this `kid`. */
export async function findKey(em: SqlEntityManager, kid: string): Promise<TokenKeyRecord> {
  const keys = await findTokenKeys(em.fork());
  const key = keys.find((known) => known.kid === kid);
  if (key) return key;
  const known = keys.map((other) => `"${other.kid}"`).join(', ');
  throw new StartupError(`This database knows no key "${kid}". It knows ${known === '' ? 'none' : known}.`);
}
