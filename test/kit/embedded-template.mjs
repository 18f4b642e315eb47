import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { openDatabase } from '../../dist/database/orm.js';

/**
 * Migrates an embedded database that tests copy (`test-database.ts`), since migrating takes seconds and copying does
 * not. Jest runs it once before all tests. The directory is removed when the process exits.
 */
export default async function makeTemplate() {
  const dataDir = mkdtempSync(join(tmpdir(), 'rollup-accounts-template-'));
  process.once('exit', () => rmSync(dataDir, { recursive: true }));
  const database = await openDatabase({ dataDir, poolMax: 2, timeoutMs: 5_000 });
  await database.migrate();
  await database.close();
  process.env['EMBEDDED_TEMPLATE'] = dataDir;
}
