import { readMigrations } from '../../database/migrate.js';
import { findPooler, readServerFacts, type ServerFacts } from '../../database/server-facts.js';
import { openForInspection } from '../../database/inspection.js';
import type { Config } from '../../config.js';
import { StartupError } from '../../errors.js';
import { type Check, type CheckResult, failed, ok, once, runChecks, skipped, warning } from './check.js';
import { explainDatabaseError } from './database-error.js';
import type { Inspection, Opened } from './inspection.js';
import { checkTokenKeys } from './token-keys-check.js';
import { checkDatabaseClock, checkLimits, checkRights } from './database-role.js';

/** Looks at the database, with two connections at most. A database that cannot be opened is one line. */
export async function checkDatabase(
  { database: settings, vault: { keys } }: Pick<Config, 'database' | 'vault'>,
  { now }: { readonly now: () => number },
): Promise<CheckResult[]> {
  const opened: Promise<Opened>[] = [];
  const open = (): Promise<Opened> => {
    const opening = openForInspection(settings);
    opened.push(opening);
    return opening;
  };
  const em = once(async () => (await open()).em);
  const inspection: Inspection = {
    settings,
    keys,
    now,
    em,
    facts: once(async () => readServerFacts(await em())),
    migrations: once(async () => readMigrations(await em())),
    pooler: once(async () => findPooler(await em(), (await open()).em)),
  };
  const results = await runChecks(checksOf(inspection));
  for (const result of await Promise.allSettled(opened)) {
    if (result.status === 'fulfilled') await result.value.close();
  }
  const [first] = results;
  return first?.status === 'skipped' ? [first] : results;
}

function checksOf(inspection: Inspection): Check[] {
  const deadlineMs = 3 * inspection.settings.timeoutMs;
  const needs = ['database'];
  const check = (name: string, run: Check['run']): Check => ({
    name,
    needs,
    deadlineMs,
    run: () => run().catch(explainDatabaseError),
  });
  const common = [
    { ...check('database', () => checkConnection(inspection)), needs: [] },
    check('database version', () => checkVersion(inspection)),
    check('database encoding', () => checkEncoding(inspection)),
    check('database writes', () => checkWrites(inspection)),
    check('database rights', () => checkRights(inspection)),
    check('migrations', () => checkMigrations(inspection)),
    { ...check('token keys', () => checkTokenKeys(inspection)), needs: ['database rights'] },
    check('database clock', () => checkDatabaseClock(inspection)),
  ];
  if (inspection.settings.url === undefined) return common;
  return [
    ...common,
    check('pooler', () => checkPooler(inspection)),
    check('connection limits', () => checkLimits(inspection)),
  ];
}

async function checkConnection({ settings, facts }: Inspection) {
  try {
    const { role } = await facts();
    return ok(
      settings.url === undefined ? `Embedded, in ${settings.dataDir}.` : `Answers to the role "${role}".`,
    );
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    // Without a cause it is in use or not there yet, which is no fault.
    return error.cause
      ? failed(error.message, 'Let the user of the server write to it.')
      : skipped(error.message);
  }
}

async function checkVersion({ facts }: Inspection) {
  return judgeVersion(await facts());
}

/** PostgreSQL 15 is the oldest that works. */
export function judgeVersion({ version, version_name }: Pick<ServerFacts, 'version' | 'version_name'>) {
  if (version >= 150_000) return ok(`PostgreSQL ${version_name}.`);
  return failed(`PostgreSQL ${version_name}.`, 'Upgrade to PostgreSQL 15 or later.');
}

async function checkEncoding({ facts }: Inspection) {
  const { encoding } = await facts();
  if (encoding === 'UTF8') return ok('UTF8.');
  return failed(
    `${encoding}: it cannot hold every name.`,
    "Make a database with encoding 'UTF8' template template0, and name it in DATABASE_URL.",
  );
}

async function checkWrites({ facts }: Inspection) {
  const { in_recovery, read_only } = await facts();
  if (in_recovery) {
    return failed('The server is a standby, which only reads.', 'Name the primary in DATABASE_URL.');
  }
  if (!read_only) return ok('Transactions may write.');
  return failed(
    'Transactions are read-only (default_transaction_read_only).',
    'Turn that off for this role and database, or name the primary in DATABASE_URL.',
  );
}

async function checkMigrations({ migrations }: Inspection) {
  const { pending, unknown } = await migrations();
  if (pending.length > 0) {
    return warning(
      `Not applied yet: ${pending.join(', ')}.`,
      'Run migrate; serve does it too when it starts.',
    );
  }
  if (unknown.length > 0) {
    return warning(
      `Applied by a newer version: ${unknown.join(', ')}.`,
      'Upgrade this one before it serves for long.',
    );
  }
  return ok('All are applied.');
}

async function checkPooler({ pooler }: Inspection) {
  switch (await pooler()) {
    case 'none': {
      return ok('None, or one in session mode.');
    }
    case 'transaction': {
      return ok('One in transaction mode, which works: no statement needs a session.');
    }
    case 'statement': {
      return failed('One in statement mode, which has no transactions.', 'Set its pool_mode to transaction.');
    }
  }
}
