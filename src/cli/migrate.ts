import { loadDatabaseConfig } from '../config.js';
import { openDatabase } from '../database/orm.js';
import type { Environment } from '../settings-reader.js';

/** Applies the migrations that the database lacks, and prints which. Throws `ConfigError`. */
export async function migrateCommand(env: Environment): Promise<void> {
  const database = await openDatabase(loadDatabaseConfig(env));
  try {
    const applied = await database.migrate();
    process.stdout.write(
      applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'the database is up to date\n',
    );
  } finally {
    await database.close();
  }
}
