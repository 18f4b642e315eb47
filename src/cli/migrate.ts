import { loadDatabaseConfig } from '../config.js';
import { openDatabase } from '../database/orm.js';
import type { Environment } from '../settings-reader.js';

/** Applies the migrations that the database lacks, and prints which, and where. Throws `ConfigError`. */
export async function migrateCommand(env: Environment): Promise<void> {
  const settings = loadDatabaseConfig(env);
  const database = await openDatabase(settings, undefined, (reason) =>
    process.stderr.write(`rollup-accounts: waiting: ${reason}\n`),
  );
  // Who forgot DATABASE_URL has to notice.
  const name = settings.url === undefined ? `the embedded database in ${settings.dataDir}` : 'the database';
  try {
    const applied = await database.migrate();
    process.stdout.write(
      applied.length > 0 ? `applied ${applied.join(', ')} to ${name}\n` : `${name} is up to date\n`,
    );
  } finally {
    await database.close();
  }
}
