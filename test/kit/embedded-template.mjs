import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { openDatabase } from '../../dist/database/orm.js';

/**
 * Runs once before all tests: makes an embedded database of which tests have copies (`test-database.ts`).
 * Making one costs seconds, a copy does not.
 */
export default async function makeTemplate() {
  const dataDir = mkdtempSync(join(tmpdir(), 'rollup-accounts-template-'));
  process.once('exit', () => rmSync(dataDir, { recursive: true }));
  const database = await openDatabase({ dataDir, poolMax: 2, timeoutMs: 5_000 });
  await database.migrate();
  await database.close();
  process.env['EMBEDDED_TEMPLATE'] = dataDir;
}
